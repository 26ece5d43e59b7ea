/// Cuts a byte stream, arriving in pieces of any size, into packets.
///
/// Holds at most one packet and what arrived behind it. After an error the stream has no more packet borders: close it.
public struct PacketDecoder: Sendable {
    /// A packet's type byte and its payload.
    public struct Packet: Equatable, Sendable {
        public let type: UInt8
        public let payload: ArraySlice<UInt8>
    }

    private var buffer: [UInt8] = []
    private var start = 0
    /// What is taken from the next packet on: a conversation's later parts may allow more or less than its start.
    public var maxPayloadLength: Int

    public init(maxPayloadLength: Int = PacketHeader.maxPayloadLength) {
        self.maxPayloadLength = maxPayloadLength
    }

    /// Bytes that have arrived and belong to no packet handed out so far.
    public var bufferedByteCount: Int { buffer.count - start }

    public mutating func append(_ bytes: some Collection<UInt8>) {
        if start > 0, start == buffer.count || start > 64 * 1024 {
            buffer.removeSubrange(..<start)
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next whole packet, or nil until more bytes arrive.
    public mutating func next() throws(WireError) -> Packet? {
        let rest = buffer[start...]
        guard let header = try PacketHeader.parse(rest, maxPayloadLength: maxPayloadLength) else { return nil }
        guard rest.count >= header.packetLength else { return nil }
        let end = start + header.packetLength
        let packet = Packet(type: header.type, payload: buffer[(start + header.headerLength)..<end])
        start = end
        return packet
    }
}
