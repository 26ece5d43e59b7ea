import ExecboxWire

/// Why the server could not get something from an agent.
package enum AgentLinkError: Error, Equatable, Sendable {
    /// No connection to the agent came up in time; nothing was delivered.
    case notConnected
    /// The agent was asked and did not answer in time. It may have done what it was asked.
    case timeout
    /// The connection ended before the answer. The agent may have done what it was asked.
    case connectionLost
    /// The sandbox was restarted behind our back: its agent has another boot id than the expected one.
    case otherBoot
    /// The agent's own words for why not; also a message that no agent would take.
    case refused(AgentFailure)
    /// The agent sent what it must not send here; its connection has been closed.
    case protocolViolation(String)
    /// The link was closed, or its `AgentLinks` has been shut down.
    case closed
    /// This transport cannot do it; the text says what.
    case unsupported(String)
    /// The agent speaks this version of the protocol instead of ours.
    case incompatible(version: UInt16)
    /// The socket that the agent should dial could not be made; the text has the path and the reason.
    case cannotListen(String)
    /// The calling task was cancelled. The agent may have done what it was asked.
    case cancelled
}

extension AgentLinkError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notConnected: "the agent is not connected"
        case .timeout: "the agent did not answer in time"
        case .connectionLost: "the connection to the agent was lost"
        case .otherBoot: "the sandbox was restarted: its agent has another boot id"
        case .refused(let failure): "the agent refused: \(failure.code): \(failure.message)"
        case .protocolViolation(let text): "the agent broke the protocol: \(text)"
        case .closed: "the link to the agent is closed"
        case .unsupported(let text): "not supported: \(text)"
        case .incompatible(let version): "the agent speaks protocol version \(version), this server \(AgentMessage.protocolVersion)"
        case .cannotListen(let text): "no socket for the agent: \(text)"
        case .cancelled: "cancelled"
        }
    }
}
