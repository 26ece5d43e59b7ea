import ExecboxWire

/// What an agent says on a stream. Numbers are the agent's, which may lie: check them against what you know before you rely on them.
package enum AgentEvent: Equatable, Sendable {
    case output(OutputPacket)
    /// So many bytes of output are missing here; they count as offset.
    case gap(UInt64)
    /// So many further bytes of stdin may be sent.
    case credit(UInt32)
    /// The process has ended and all its output has been delivered. Nothing follows.
    case exited(ExitReport)
    /// The agent ends the stream, not the process (`slowReader`, `ended` …). Nothing follows.
    case failed(AgentFailure)
}
