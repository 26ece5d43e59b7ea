/// A folder's list, sorted by the bytes of its names.
public struct FolderBody: Equatable, Sendable, Codable {
    public var path: String
    public var entries: [FileEntryBody]

    public init(path: String, entries: [FileEntryBody]) {
        self.path = path
        self.entries = entries
    }
}
