/// What an API key may be used for (PROTOCOL §1, 403).
public enum Scope: String, Hashable, Sendable, CaseIterable, Comparable {
    /// Look at sessions and their output.
    case sessionsRead = "sessions:read"
    /// Start, change, use and end sessions.
    case sessionsWrite = "sessions:write"
    /// Read and write files in sandboxes.
    case files
    /// Read usage, cost and limits.
    case usage
    /// Manage the account's keys and limits, and read its audit log.
    case keys
    /// Administer the whole installation.
    case admin

    /// In the order they are listed here.
    public static func < (left: Self, right: Self) -> Bool {
        (allCases.firstIndex(of: left) ?? 0) < (allCases.firstIndex(of: right) ?? 0)
    }

    /// What a key has unless something else was asked for: everything of its own account.
    public static let standard: Set<Self> = Set(allCases).subtracting([.admin])
}
