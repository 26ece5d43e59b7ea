/// The answer to an upload.
public struct FileWrittenBody: Equatable, Sendable, Codable {
    public var path: String
    public var size: Int64
    /// Of the bytes as they were written in the sandbox, in hexadecimal digits.
    public var sha256: String

    public init(path: String, size: Int64, sha256: String) {
        self.path = path
        self.size = size
        self.sha256 = sha256
    }
}
