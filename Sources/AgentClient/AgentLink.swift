import ExecboxModel
import ExecboxSandbox
import ExecboxWire
import Logging
import NIOCore

/// The server's end of everything that is said to one sandbox's agent.
///
/// Connections come and go underneath: a request takes an idle one, or waits for the next. Safe to call from any number of tasks.
package final class AgentLink: Sendable {
    package let sandboxID: SandboxID
    let serverID: String
    let eventLoopGroup: any EventLoopGroup
    let limits: AgentLinkLimits
    let logger: Logger
    let pool: Monitor<AgentPool>

    init(
        sandboxID: SandboxID,
        transport: AgentTransport,
        serverID: String,
        eventLoopGroup: any EventLoopGroup,
        limits: AgentLinkLimits,
        logger: Logger,
        predecessor: AgentLink?
    ) {
        var logger = logger
        logger[metadataKey: "sandbox"] = "\(sandboxID)"
        self.sandboxID = sandboxID
        self.serverID = serverID
        self.eventLoopGroup = eventLoopGroup
        self.limits = limits
        self.logger = logger
        pool = Monitor(AgentPool(transport: transport, limits: limits, predecessor: predecessor))
    }

    // MARK: State

    package var transport: AgentTransport { pool.read(\.transport) }
    /// A connection with an acceptable hello is open now, idle or not. A hint: it may be dead already, or its successor on the way.
    package var isConnected: Bool { pool.read(\.isConnected) }
    /// An agent with another boot id than the expected one was turned away since.
    package var bootIDChanged: Bool { pool.read { $0.refusal == .otherBoot } }
    /// For metrics and tests.
    package var counters: AgentLinkCounters { pool.read(\.counters) }
    var isClosed: Bool { pool.read(\.isClosed) }

    /// The newest acceptable hello; waits for the first connection.
    ///
    /// - Throws: `otherBoot`, `incompatible` if such an agent was turned away since; `notConnected` at the end of `timeout`; `closed`.
    package func hello(timeout: Duration) async throws(AgentLinkError) -> Hello {
        try await waitConnected(until: deadline(in: timeout)) { $0.knownHello }
    }

    /// Waits for an idle connection or one in use. Throws as `hello` does.
    package func waitUntilConnected(timeout: Duration) async throws(AgentLinkError) {
        try await waitConnected(until: deadline(in: timeout)) { $0.connected }
    }

    /// From now on connections of an agent with another boot id are refused, open ones closed, and callers get `otherBoot`.
    package func expectBootID(_ bootID: [UInt8]) {
        for connection in pool.update({ $0.expect(bootID: bootID) }) { connection.close(.otherBoot) }
    }

    // MARK: Operations

    /// Asks for one thing and returns the agent's reply. A `start` whose flow is `detached` is such a request too; `attached` answers it.
    ///
    /// A request whose connection died unanswered is sent once more on another if it is safe to repeat (`list`, `stats`, `setDeadline`,
    /// `start`), or if it cannot have been delivered. `dismiss` may end in `connectionLost`: the agent exits.
    /// - Throws: `refused` with the agent's words; `notConnected` when no connection came in time; `timeout` when no answer did; …
    package func request(_ message: AgentMessage, timeout: Duration = .seconds(10)) async throws(AgentLinkError) -> AgentMessage {
        guard let reply = AgentConversation.replyType(to: message) else {
            throw .refused(AgentFailure(.invalidRequest, "\(message.type) is not a request with one reply"))
        }
        let (connection, answer) = try await exchange(message, .reply(reply), until: deadline(in: timeout))
        connection.close(.closed)
        return answer
    }

    /// Sends `start` or `attach` and gives its stream to `body`.
    ///
    /// The connection is closed, and its descriptor gone, when this returns or throws: when `body` has ended, or its task was cancelled.
    /// The process goes on. What `body` sent last is on its way by then, unless the agent takes nothing for a second.
    /// - Parameter timeout: for connection and answer together.
    package func withStream<Value>(
        _ message: AgentMessage,
        timeout: Duration = .seconds(10),
        isolation: isolated (any Actor)? = #isolation,
        _ body: (AgentStream) async throws -> Value
    ) async throws -> Value {
        let (connection, stream) = try await open(message, timeout)
        return try await withTaskCancellationHandler {
            do {
                let value = try await body(stream)
                await connection.drain()
                await connection.closeAndWait(.closed)
                return value
            } catch {
                await connection.closeAndWait(.closed)
                throw error
            }
        } onCancel: {
            connection.close(.cancelled)
        }
    }

    /// Sends `start` or `attach` and hands its stream over to whoever holds what is returned.
    package func openStream(_ message: AgentMessage, timeout: Duration = .seconds(10)) async throws(AgentLinkError) -> OpenAgentStream {
        let (connection, stream) = try await open(message, timeout)
        return OpenAgentStream(stream: stream, connection: connection)
    }

    private func open(_ message: AgentMessage, _ timeout: Duration) async throws(AgentLinkError) -> (AgentConnection, AgentStream) {
        switch message {
        case .start, .attach: break
        default: throw AgentLinkError.refused(AgentFailure(.invalidRequest, "\(message.type) does not open a stream"))
        }
        let (connection, answer) = try await exchange(message, .answer, until: deadline(in: timeout))
        guard case .attached(let first, let end) = answer else { throw AgentLinkError.protocolViolation("\(answer.type) opens no stream") }
        return (connection, AgentStream(connection: connection, first: first, end: end))
    }

    // MARK: Exchange

    private func exchange(
        _ message: AgentMessage,
        _ phase: AgentConversation.Phase,
        until deadline: NIODeadline
    ) async throws(AgentLinkError) -> (AgentConnection, AgentMessage) {
        let bytes = ByteBuffer(bytes: message.bytes)
        guard bytes.readableBytes - PacketHeader.maxLength <= AgentMessage.maxPayloadLength else {
            throw .refused(AgentFailure(.invalidRequest, "\(message.type) of \(bytes.readableBytes) bytes is too long for an agent"))
        }
        var wasRepeated = false
        while true {
            let connection = try await checkOut(until: deadline)
            do {
                return (connection, try await connection.exchange(bytes, phase, until: deadline))
            } catch .connectionLost where !connection.isOperationWritten {
                // An idle connection that was dead already: nothing has happened, and it is out of the pool.
                continue
            } catch .connectionLost where !wasRepeated && AgentConversation.isRepeatable(message) {
                wasRepeated = true
                pool.update { $0.counters.repeated += 1 }
            } catch {
                throw error
            }
        }
    }

    private func checkOut(until deadline: NIODeadline) async throws(AgentLinkError) -> AgentConnection {
        try await waitConnected(until: deadline) { $0.checkOut() }
    }

    /// Waits for something that a new connection brings.
    private func waitConnected<Value: Sendable>(
        until deadline: NIODeadline,
        for condition: @escaping @Sendable (inout AgentPool) -> Result<Value, AgentLinkError>?
    ) async throws(AgentLinkError) -> Value {
        do {
            guard case .listen(let host, let port, let secret) = transport else {
                return try await pool.wait(until: (deadline, eventLoopGroup.any()), for: condition)
            }
            while true {
                if case .success(let value) = pool.update({ condition(&$0) }) { return value }
                pool.update { $0.forgetRefusal() }
                try await dial(host, port, secret, until: deadline)
                let patience = min(deadline, .now() + TimeAmount(bounded: limits.helloTimeout))
                do {
                    return try await pool.wait(until: (patience, eventLoopGroup.any()), for: condition)
                } catch .timeout where NIODeadline.now() < deadline {
                    continue
                }
            }
        } catch .timeout {
            throw .notConnected
        }
    }

    func deadline(in time: Duration) -> NIODeadline { .now() + TimeAmount(bounded: time) }
}
