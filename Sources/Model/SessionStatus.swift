/// Where a session stands (PROTOCOL §2, "Life cycle").
public enum SessionStatus: String, Sendable, CaseIterable {
    case pending, building, starting, running, stopping, stopped, killed, failed

    /// Final: nothing changes it any more.
    public var isTerminal: Bool {
        switch self {
        case .stopped, .killed, .failed: true
        case .pending, .building, .starting, .running, .stopping: false
        }
    }
}
