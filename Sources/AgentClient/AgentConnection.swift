import ExecboxWire
import NIOCore

/// One connection to an agent: its channel, and the conversation on it.
final class AgentConnection: Sendable {
    /// How long a stream's end waits for what was sent last.
    private static let drainTime = TimeAmount.seconds(1)

    let channel: any Channel
    let link: AgentLink
    private let conversation: Monitor<AgentConversation>

    /// - Parameter isDialed: we made the connection, and say the secret first.
    init(link: AgentLink, channel: any Channel, isDialed: Bool) {
        self.link = link
        self.channel = channel
        conversation = Monitor(AgentConversation(limits: link.limits, mayBeRefused: isDialed))
    }

    var bootID: [UInt8]? { conversation.read(\.bootID) }
    /// The agent may have got the operation.
    var isOperationWritten: Bool { conversation.read(\.isOperationWritten) }

    // MARK: Called by the channel's handler

    func receive(_ read: ByteBuffer) -> AgentConversation.Action { conversation.update { $0.receive(read) } }
    func startReading() -> Bool { conversation.update { $0.startReading() } }
    func lost() { conversation.update { $0.finish(.lost) } }

    // MARK: Called by tasks

    /// Writes an operation and returns its answer; the connection stays open. Closes it on every error.
    func exchange(
        _ operation: ByteBuffer,
        _ phase: AgentConversation.Phase,
        until deadline: NIODeadline
    ) async throws(AgentLinkError) -> AgentMessage {
        try conversation.update { $0.begin(phase) }.get()
        channel.writeAndFlush(operation).whenSuccess { self.conversation.update { $0.operationWritten() } }
        do {
            return try await conversation.wait(until: (deadline, channel.eventLoop)) { $0.takeAnswer() }
        } catch {
            close(error)
            throw error
        }
    }

    func nextEvents(atMost count: Int) async throws(AgentLinkError) -> [AgentEvent] {
        let batch = try await conversation.wait { $0.takeEvents(atMost: count) }
        if let text = batch.violation { link.connectionBrokeProtocol(self, text) }
        if batch.resumesReading { channel.read() }
        return batch.events
    }

    func send(_ packet: ByteBuffer) async throws(AgentLinkError) {
        let count = packet.readableBytes
        try await conversation.wait { $0.reserveSending(count) }
        channel.writeAndFlush(packet).whenComplete { _ in self.conversation.update { $0.sent(count) } }
    }

    /// Waits until the kernel has what was sent, but not for long.
    func drain() async {
        _ = try? await conversation.wait(until: (.now() + Self.drainTime, channel.eventLoop)) { conversation in
            conversation.unsentBytes == 0 || conversation.end != nil ? .success(()) : nil
        }
    }

    /// Closes the connection; `reason` is what its users get from now on.
    func close(_ reason: AgentLinkError) {
        conversation.update { $0.finish(.failed(reason)) }
        channel.close(promise: nil)
    }

    func closeAndWait(_ reason: AgentLinkError) async {
        close(reason)
        // The future fails only if the channel was never opened.
        _ = try? await channel.closeFuture.get()
    }
}
