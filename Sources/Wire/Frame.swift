/// One frame of a stream, as it stands in one binary WebSocket message (PROTOCOL §3).
public enum Frame: Equatable, Sendable {
    /// The longest text of an Error frame in bytes; longer ones are cut at a character.
    public static let maxErrorLength = 1024

    case stdin([UInt8])
    case stdout([UInt8])
    case stderr([UInt8])
    /// The process's exit code; 128 + n after a signal.
    case exit(Int32)
    case error(String)
    case stdinClose
    case resize(columns: UInt16, rows: UInt16)
    /// A signal's name, such as `SIGINT`.
    case signal(String)
    /// So many bytes of output are missing here.
    case gap(UInt64)
    /// So many further bytes of stdin may be sent.
    case credit(UInt32)

    public var type: FrameType {
        switch self {
        case .stdin: .stdin
        case .stdout: .stdout
        case .stderr: .stderr
        case .exit: .exit
        case .error: .error
        case .stdinClose: .stdinClose
        case .resize: .resize
        case .signal: .signal
        case .gap: .gap
        case .credit: .credit
        }
    }

    /// Decodes a message that must be exactly one frame.
    ///
    /// - Parameter maxPayloadLength: longer payloads throw `tooLong` whatever the message carries.
    public init(_ message: some Collection<UInt8>, maxPayloadLength: Int = PacketHeader.maxPayloadLength) throws(WireError) {
        guard let type = message.first else { throw .empty }
        guard FrameType(rawValue: type) != nil else { throw .unknownType(type) }
        guard let header = try PacketHeader.parse(message, maxPayloadLength: maxPayloadLength) else { throw .truncated }
        let actual = message.count - header.headerLength
        guard actual == header.payloadLength else { throw .lengthMismatch(expected: header.payloadLength, actual: actual) }
        try self.init(type: type, payload: message.dropFirst(header.headerLength))
    }

    /// Decodes a payload whose header has been read.
    public init(type rawType: UInt8, payload: some Collection<UInt8>) throws(WireError) {
        guard let type = FrameType(rawValue: rawType) else { throw .unknownType(rawType) }
        var reader = FieldReader(payload)
        switch type {
        case .stdin: self = .stdin(Array(payload))
        case .stdout: self = .stdout(Array(payload))
        case .stderr: self = .stderr(Array(payload))
        case .exit: self = .exit(Int32(bitPattern: try reader.uint32()))
        case .error:
            guard payload.count <= Self.maxErrorLength else { throw .tooLong(length: payload.count, limit: Self.maxErrorLength) }
            self = .error(String(decoding: payload, as: UTF8.self))
            return
        case .stdinClose: self = .stdinClose
        case .resize: self = .resize(columns: try reader.uint16(), rows: try reader.uint16())
        case .signal:
            guard payload.count <= 32 else { throw .tooLong(length: payload.count, limit: 32) }
            self = .signal(String(decoding: payload, as: UTF8.self))
            return
        case .gap: self = .gap(try reader.uint64())
        case .credit: self = .credit(try reader.uint32())
        }
        switch type {
        case .stdin, .stdout, .stderr: return
        default: try reader.finish()
        }
    }

    /// The frame's bytes: type, length where the type has one, payload.
    public var bytes: [UInt8] {
        switch self {
        case .stdin(let data), .stdout(let data), .stderr(let data): packet(data)
        case .exit(let code): packet(bigEndian(UInt32(bitPattern: code)))
        case .error(let text): packet(Self.cut(text, at: Self.maxErrorLength))
        case .stdinClose: packet([])
        case .resize(let columns, let rows): packet(bigEndian(columns) + bigEndian(rows))
        case .signal(let name): packet(Array(name.utf8))
        case .gap(let count): packet(bigEndian(count))
        case .credit(let count): packet(bigEndian(count))
        }
    }

    private func packet(_ payload: [UInt8]) -> [UInt8] {
        PacketHeader(type: type.rawValue, payloadLength: payload.count).bytes + payload
    }

    /// The longest prefix of `text` with at most `limit` bytes that does not split a UTF-8 sequence.
    static func cut(_ text: String, at limit: Int) -> [UInt8] {
        let utf8 = Array(text.utf8)
        guard utf8.count > limit else { return utf8 }
        var end = limit
        while end > 0, utf8[end] & 0xC0 == 0x80 { end -= 1 }
        return Array(utf8[..<end])
    }
}

func bigEndian<Number: FixedWidthInteger>(_ value: Number) -> [UInt8] {
    (0..<Number.bitWidth / 8).reversed().map { UInt8(truncatingIfNeeded: value >> Number($0 * 8)) }
}
