import ExecboxModel

/// Why a session is being ended on purpose. Stands in the session's row, so that it outlives the server that wrote it.
package enum StopIntent: String, Sendable, CaseIterable {
    case stopped, killed, timeout
    case idleTimeout = "idle_timeout"
    case budgetExceeded = "budget_exceeded"
    case diskExceeded = "disk_exceeded"

    /// The end reason it leads to when nothing else ended the session first.
    package var reason: EndReason {
        switch self {
        case .stopped: .stopped
        case .killed: .killed
        case .timeout: .timeout
        case .idleTimeout: .idleTimeout
        case .budgetExceeded: .budgetExceeded
        case .diskExceeded: .diskExceeded
        }
    }

    /// Only `stopped` lets main end by itself; everything else is SIGKILL at once.
    package var isGraceful: Bool { self == .stopped }
}
