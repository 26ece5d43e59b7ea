/// What stands at a path in a sandbox; a symbolic link is shown itself, not what it leads to.
public struct FileStatus: Equatable, Sendable {
    public enum Kind: UInt8, Sendable {
        case file = 1
        case directory = 2
        case symbolicLink = 3
        /// A device, a socket, a pipe.
        case other = 4
    }

    public static let maxTargetLength = 4096

    public var kind: Kind
    /// In bytes.
    public var size: UInt64
    /// Permission bits, set-id and sticky ones included: 0...0o7777.
    public var mode: UInt32
    public var modifiedMicroseconds: Int64
    /// Together with size and time of change it tells two states of one path apart.
    public var inode: UInt64
    /// Where a symbolic link leads; empty for everything else. Any bytes but NUL.
    public var target: [UInt8]

    public init(kind: Kind, size: UInt64, mode: UInt32, modifiedMicroseconds: Int64, inode: UInt64, target: [UInt8] = []) {
        self.kind = kind
        self.size = size
        self.mode = mode
        self.modifiedMicroseconds = modifiedMicroseconds
        self.inode = inode
        self.target = target
    }

    init(from reader: inout FieldReader<some Collection<UInt8>>) throws(WireError) {
        guard let kind = Kind(rawValue: try reader.uint8()) else { throw .invalidField("kind") }
        self.kind = kind
        size = try reader.uint64()
        mode = try reader.uint32()
        guard mode <= 0o7777 else { throw .invalidField("mode") }
        modifiedMicroseconds = Int64(bitPattern: try reader.uint64())
        inode = try reader.uint64()
        target = try reader.bytes(max: Self.maxTargetLength)
    }

    func write(to writer: inout FieldWriter) {
        writer.integer(kind.rawValue)
        writer.integer(size)
        writer.integer(mode)
        writer.integer(modifiedMicroseconds)
        writer.integer(inode)
        writer.data(target)
    }
}
