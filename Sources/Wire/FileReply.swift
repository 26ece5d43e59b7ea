/// What `execbox-agent files …` writes to its standard output: a u32 length, a kind, and the kind's fields.
///
/// `content` is followed by just so many raw bytes. Every operation but an interrupted one ends with `done` or `failed`.
public enum FileReply: Equatable, Sendable {
    /// The longest that a reader takes, without the length.
    public static let maxLength = 1 << 20
    /// So many entries at most stand in one reply.
    public static let entriesPerReply = 200

    case status(FileStatus)
    /// A file, and of its bytes `start ..< start + count`, which follow. `start` at the file's end and `count` 0: nothing of it was asked for.
    case content(FileStatus, start: UInt64, count: UInt64)
    /// A part of a folder's list, which is sorted by name.
    case entries([FileEntry])
    /// What was written; zero and empty for operations that write no bytes.
    case done(size: UInt64, sha256: [UInt8])
    case failed(FileFailure)

    public static let done = Self.done(size: 0, sha256: [])

    private enum Kind: UInt8 {
        case status = 1
        case content
        case entries
        case done
        case failed
    }

    /// The reply at the front of `bytes` and how many of them it takes; nil while it is not complete.
    public static func parse(_ bytes: some Collection<UInt8>) throws(WireError) -> (reply: Self, length: Int)? {
        guard bytes.count >= 4 else { return nil }
        let length = bytes.prefix(4).reduce(0) { $0 << 8 | Int($1) }
        guard length <= maxLength else { throw .tooLong(length: length, limit: maxLength) }
        guard bytes.count >= 4 + length else { return nil }
        var reader = FieldReader(bytes.dropFirst(4).prefix(length))
        let rawKind = try reader.uint8()
        guard let kind = Kind(rawValue: rawKind) else { throw .unknownType(rawKind) }
        let reply: Self
        switch kind {
        case .status: reply = .status(try FileStatus(from: &reader))
        case .content: reply = .content(try FileStatus(from: &reader), start: try reader.uint64(), count: try reader.uint64())
        case .entries:
            let count = Int(try reader.uint32())
            guard count <= entriesPerReply else { throw .tooLong(length: count, limit: entriesPerReply) }
            var entries: [FileEntry] = []
            for _ in 0..<count { entries.append(try FileEntry(from: &reader)) }
            reply = .entries(entries)
        case .done: reply = .done(size: try reader.uint64(), sha256: try reader.bytes(max: 32))
        case .failed: reply = .failed(try FileFailure(from: &reader))
        }
        try reader.finish()
        return (reply, 4 + length)
    }

    public var bytes: [UInt8] {
        var writer = FieldWriter()
        switch self {
        case .status(let status):
            writer.integer(Kind.status.rawValue)
            status.write(to: &writer)
        case .content(let status, let start, let count):
            writer.integer(Kind.content.rawValue)
            status.write(to: &writer)
            writer.integer(start)
            writer.integer(count)
        case .entries(let entries):
            writer.integer(Kind.entries.rawValue)
            writer.integer(UInt32(truncatingIfNeeded: entries.count))
            for entry in entries { entry.write(to: &writer) }
        case .done(let size, let sha256):
            writer.integer(Kind.done.rawValue)
            writer.integer(size)
            writer.data(sha256)
        case .failed(let failure):
            writer.integer(Kind.failed.rawValue)
            failure.write(to: &writer)
        }
        return bigEndian(UInt32(truncatingIfNeeded: writer.bytes.count)) + writer.bytes
    }
}
