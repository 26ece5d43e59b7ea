/// Why a file operation was not done.
public struct FileFailure: Error, Equatable, Sendable {
    public enum Code: UInt8, Sendable, CaseIterable {
        case notFound = 1
        /// Something on the way to the path is no folder.
        case notDirectory = 2
        case isDirectory = 3
        case exists = 4
        case notEmpty = 5
        /// The session's user may not.
        case denied = 6
        case readOnly = 7
        /// No space, or no more than a quota gives.
        case noSpace = 8
        /// The path cannot be meant: too long, a loop of links, `/` to be removed.
        case invalidPath = 9
        /// From one file system to another.
        case crossDevice = 10
        /// More than one answer can hold.
        case tooLarge = 11
        /// The bytes ended before they were complete; nothing was written.
        case incomplete = 12
        /// Everything else; the message has errno.
        case failed = 13
    }

    public var code: Code
    public var message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    init(from reader: inout FieldReader<some Collection<UInt8>>) throws(WireError) {
        guard let code = Code(rawValue: try reader.uint8()) else { throw .invalidField("file failure") }
        self.code = code
        message = try reader.string("message", max: 8192)
    }

    func write(to writer: inout FieldWriter) {
        writer.integer(code.rawValue)
        writer.data(Frame.cut(message, at: 8192))
    }
}
