/// The start of everything that travels: a type byte and, for all types but Exit and StdinClose, a big-endian u32 payload length.
///
/// Frames (what clients see, PROTOCOL §3) and agent messages share this layout, so a relay can pass packets on without decoding them.
public struct PacketHeader: Equatable, Sendable {
    /// The longest payload the codec takes: 2^24 - 1 bytes.
    public static let maxPayloadLength = (1 << 24) - 1
    /// Type byte and length field.
    public static let maxLength = 5

    public let type: UInt8
    /// How many bytes stand before the payload: 5, or 1 for Exit and StdinClose.
    public let headerLength: Int
    public let payloadLength: Int

    public var packetLength: Int { headerLength + payloadLength }

    public init(type: UInt8, payloadLength: Int) {
        self.type = type
        self.headerLength = Self.fixedPayloadLength(of: type) == nil ? 5 : 1
        self.payloadLength = payloadLength
    }

    /// Exit has four payload bytes and StdinClose none; neither carries a length.
    static func fixedPayloadLength(of type: UInt8) -> Int? {
        switch type {
        case FrameType.exit.rawValue: 4
        case FrameType.stdinClose.rawValue: 0
        default: nil
        }
    }

    static func isKnown(_ type: UInt8) -> Bool {
        FrameType(rawValue: type) != nil || AgentMessageType(rawValue: type) != nil
    }

    /// Reads a header off the front of `bytes`.
    ///
    /// - Returns: nil while fewer bytes than the header has are there.
    /// - Throws: `unknownType` as soon as the first byte is there, `tooLong` as soon as the length is.
    public static func parse(_ bytes: some Collection<UInt8>, maxPayloadLength: Int = Self.maxPayloadLength) throws(WireError) -> Self? {
        guard let type = bytes.first else { return nil }
        guard isKnown(type) else { throw .unknownType(type) }
        if let fixed = fixedPayloadLength(of: type) { return Self(type: type, payloadLength: fixed) }
        var length = 0
        var seen = 0
        for byte in bytes.dropFirst().prefix(4) {
            length = length << 8 | Int(byte)
            seen += 1
        }
        guard seen == 4 else { return nil }
        guard length <= maxPayloadLength else { throw .tooLong(length: length, limit: maxPayloadLength) }
        return Self(type: type, payloadLength: length)
    }

    /// The header's bytes, 5 or 1 of them.
    public var bytes: [UInt8] {
        guard headerLength == 5 else { return [type] }
        let length = UInt32(truncatingIfNeeded: payloadLength)
        return [
            type, UInt8(truncatingIfNeeded: length >> 24), UInt8(truncatingIfNeeded: length >> 16),
            UInt8(truncatingIfNeeded: length >> 8), UInt8(truncatingIfNeeded: length),
        ]
    }
}
