/// Why a session ended (PROTOCOL §2, "Life cycle").
public enum EndReason: String, Sendable, CaseIterable {
    case exited, signaled, stopped, killed, timeout
    case idleTimeout = "idle_timeout"
    case oomKilled = "oom_killed"
    case diskExceeded = "disk_exceeded"
    case budgetExceeded = "budget_exceeded"
    case imageError = "image_error"
    case startFailed = "start_failed"
    case backendLost = "backend_lost"

    /// The terminal status that follows from the reason.
    public var status: SessionStatus {
        switch self {
        case .exited, .signaled, .stopped: .stopped
        case .killed, .timeout, .idleTimeout, .oomKilled, .diskExceeded, .budgetExceeded: .killed
        case .imageError, .startFailed, .backendLost: .failed
        }
    }
}
