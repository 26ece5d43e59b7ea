import ExecboxWire
import NIOCore

/// One process's output as it comes, and its stdin.
///
/// Lives inside `AgentLink.withStream`. One task reads; any number may send, their packets interleave whole.
package final class AgentStream: Sendable {
    /// The offset of the first byte that will come, as the agent says; later than asked for if older bytes are gone.
    package let first: UInt64
    /// The offset of the first byte that the process had not yet written when the stream began, as the agent says.
    package let end: UInt64
    private let connection: AgentConnection

    init(connection: AgentConnection, first: UInt64, end: UInt64) {
        self.connection = connection
        self.first = first
        self.end = end
    }

    /// The next event, in the order in which the agent sent them.
    ///
    /// - Returns: nil after `exited` and `failed`, and when the connection was lost without either: that is no end of the process.
    /// - Throws: `protocolViolation`, `closed`, `otherBoot`, `cancelled`; never `refused`.
    package func next() async throws(AgentLinkError) -> AgentEvent? {
        try await connection.nextEvents(atMost: 1).first
    }

    /// All events that have arrived and were not taken yet, at least one; bounded by `AgentLinkLimits.streamBufferBytes` and one frame.
    ///
    /// - Returns: an empty list where `next` returns nil.
    package func nextBatch() async throws(AgentLinkError) -> [AgentEvent] {
        try await connection.nextEvents(atMost: .max)
    }

    /// Passes on a Stdin or StdinClose frame as a client sent it; suspends while the agent does not take what was sent before.
    ///
    /// Returns once the bytes are on their way, in the order of the calls of one task.
    /// - Throws: `refused` if `packet` is not exactly one such frame: no client can slip another message in.
    package func send(packet: ByteBuffer) async throws(AgentLinkError) {
        guard Self.isStdin(packet) else {
            throw .refused(AgentFailure(.invalidRequest, "only one whole Stdin or StdinClose frame can be sent to a stream"))
        }
        try await connection.send(packet)
    }

    /// The same for a frame made here.
    package func send(_ frame: Frame) async throws(AgentLinkError) {
        try await send(packet: ByteBuffer(bytes: frame.bytes))
    }

    /// Tells the agent that everything before `offset` is in the database.
    package func acknowledge(epoch: UInt64, offset: UInt64) async throws(AgentLinkError) {
        try await connection.send(ByteBuffer(bytes: AgentMessage.acknowledge(epoch: epoch, offset: offset).bytes))
    }

    private static func isStdin(_ packet: ByteBuffer) -> Bool {
        switch packet.getInteger(at: packet.readerIndex, as: UInt8.self) {
        case FrameType.stdinClose.rawValue: return packet.readableBytes == 1
        case FrameType.stdin.rawValue:
            guard let length = packet.getInteger(at: packet.readerIndex + 1, as: UInt32.self) else { return false }
            return Int(length) == packet.readableBytes - PacketHeader.maxLength
        default: return false
        }
    }
}
