/// The answer to a folder that was made and a thing that was moved: where it is.
public struct PathBody: Equatable, Sendable, Codable {
    public var path: String

    public init(path: String) { self.path = path }
}
