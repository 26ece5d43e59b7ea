/// Why bytes are not a frame or a message. Nothing that arrives can trap the decoder; it throws one of these.
public enum WireError: Error, Equatable, Sendable {
    /// A message without a single byte.
    case empty
    /// The bytes end before the value they announce.
    case truncated
    /// A message that should be exactly one frame announces `expected` payload bytes and carries `actual`.
    case lengthMismatch(expected: Int, actual: Int)
    /// A payload of `length` bytes where `limit` is the most that is taken.
    case tooLong(length: Int, limit: Int)
    /// A first byte that names no frame and no message.
    case unknownType(UInt8)
    /// A field holds a value it cannot have; the text names the field.
    case invalidField(String)
}

extension WireError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .empty: "empty message"
        case .truncated: "message ends too early"
        case .lengthMismatch(let expected, let actual): "data length mismatch: expected \(expected), got \(actual)"
        case .tooLong(let length, let limit): "\(length) bytes of data, at most \(limit) are taken"
        case .unknownType(let type): "unknown frame type 0x\(String(type, radix: 16))"
        case .invalidField(let field): "invalid \(field)"
        }
    }
}
