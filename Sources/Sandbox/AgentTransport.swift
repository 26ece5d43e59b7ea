/// How the server and a sandbox's agent find each other; one protocol runs over both.
package enum AgentTransport: Equatable, Sendable {
    /// The agent dials sockets that server processes put into `directory` (the sandbox sees it read-only). Only a peer whose pid, as the
    /// kernel reports it, is `peerPID` is the agent. Nil while the sandbox is being made: peers are kept waiting until it is known.
    case dialOut(directory: String, peerPID: Int32?)
    /// The agent listens on a private address and wants the session's secret first.
    case listen(host: String, port: Int, secret: [UInt8])

    /// The agent cannot be told from others yet.
    package var isIncomplete: Bool {
        if case .dialOut(_, nil) = self { true } else { false }
    }

    /// Whether `other` is this transport, or says more of it.
    package func isCompleted(by other: AgentTransport) -> Bool {
        if case .dialOut(let directory, nil) = self, case .dialOut(directory, _) = other { return true }
        return self == other
    }
}
