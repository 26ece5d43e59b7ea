/// One name in a folder of a sandbox.
public struct FileEntry: Equatable, Sendable {
    public static let maxNameLength = 255

    /// Any bytes but NUL and `/`.
    public var name: [UInt8]
    public var status: FileStatus

    public init(name: [UInt8], status: FileStatus) {
        self.name = name
        self.status = status
    }

    init(from reader: inout FieldReader<some Collection<UInt8>>) throws(WireError) {
        name = try reader.bytes(max: Self.maxNameLength)
        status = try FileStatus(from: &reader)
    }

    func write(to writer: inout FieldWriter) {
        writer.data(name)
        status.write(to: &writer)
    }
}
