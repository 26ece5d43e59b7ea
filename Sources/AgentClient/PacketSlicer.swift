import ExecboxWire
import NIOCore

/// Cuts what was read from a socket into packets.
///
/// A packet that arrived within one read is a slice of it; only one cut by the border between two reads is copied together.
struct PacketSlicer: Sendable {
    /// How much is set aside for a cut packet before its bytes are there: enough for what honest agents send, little for a lie.
    private static let maxReserve = 256 * 1024 + PacketHeader.maxLength

    /// Reads not yet cut up, oldest first.
    private var reads: [ByteBuffer] = []
    /// The start of a packet that was cut.
    private var partial: ByteBuffer?

    /// Nothing is left that could be cut without further reads.
    var isDrained: Bool { reads.isEmpty }

    mutating func append(_ read: ByteBuffer) {
        if read.readableBytes > 0 { reads.append(read) }
    }

    mutating func discard() {
        reads = []
        partial = nil
    }

    /// The next whole packet, header included, or nil until more arrives.
    ///
    /// - Parameter limit: says how long a payload of a type may be here, or throws; asked as soon as the type is known.
    mutating func next(
        limit: (UInt8) throws(AgentLinkError) -> Int
    ) throws(AgentLinkError) -> (type: UInt8, packet: ByteBuffer)? {
        while !reads.isEmpty {
            if let cut = try completePartial(limit: limit) { return cut }
            guard partial == nil else { continue }
            if let header = try Self.header(of: reads[0], limit: limit), let packet = reads[0].readSlice(length: header.length) {
                dropEmptyRead()
                return (header.type, packet)
            }
            let rest = reads.removeFirst()
            // A copy: the start of a packet must not hold the whole read.
            var packet = ByteBuffer()
            packet.writeImmutableBuffer(rest)
            partial = packet
        }
        return nil
    }

    /// Adds what is missing to the cut packet, as far as it has arrived; returns it once it is whole.
    private mutating func completePartial(
        limit: (UInt8) throws(AgentLinkError) -> Int
    ) throws(AgentLinkError) -> (type: UInt8, packet: ByteBuffer)? {
        guard var packet = partial else { return nil }
        // Held in one place only, so that it grows where it is.
        partial = nil
        if packet.readableBytes < PacketHeader.maxLength { move(PacketHeader.maxLength - packet.readableBytes, to: &packet) }
        guard let header = try Self.header(of: packet, limit: limit) else {
            partial = packet
            return nil
        }
        packet.reserveCapacity(min(header.length, Self.maxReserve))
        move(header.length - packet.readableBytes, to: &packet)
        guard packet.readableBytes == header.length else {
            partial = packet
            return nil
        }
        return (header.type, packet)
    }

    private mutating func move(_ count: Int, to packet: inout ByteBuffer) {
        guard !reads.isEmpty, let bytes = reads[0].readSlice(length: min(count, reads[0].readableBytes)) else { return }
        packet.writeImmutableBuffer(bytes)
        dropEmptyRead()
    }

    private mutating func dropEmptyRead() {
        if reads[0].readableBytes == 0 { reads.removeFirst() }
    }

    /// Type and length of the whole packet; nil while the header is incomplete. All that an agent sends has the long header.
    private static func header(
        of bytes: ByteBuffer,
        limit: (UInt8) throws(AgentLinkError) -> Int
    ) throws(AgentLinkError) -> (type: UInt8, length: Int)? {
        guard let type = bytes.getInteger(at: bytes.readerIndex, as: UInt8.self) else { return nil }
        let limit = try limit(type)
        guard let length = bytes.getInteger(at: bytes.readerIndex + 1, as: UInt32.self) else { return nil }
        guard length <= limit else {
            throw .protocolViolation("\(length) bytes in a message of type 0x\(String(type, radix: 16)), at most \(limit) are taken")
        }
        return (type, PacketHeader.maxLength + Int(length))
    }
}
