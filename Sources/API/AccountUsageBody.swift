import ExecboxModel

/// `GET /v1/account/usage`: where the account stands now. -1 is "no limit".
public struct AccountUsageBody: Equatable, Sendable, Codable {
    public var sessionsToday: Int
    public var activeSessions: Int
    public var quotaUsed: Int
    public var quotaRemaining: Int
    public var tier: String
    public var concurrentLimit: Int
    public var dailyLimit: Int
    public var maxDurationSeconds: Int64
    public var maxMemoryMB: Int

    private enum CodingKeys: String, CodingKey {
        case tier
        case sessionsToday = "sessions_today"
        case activeSessions = "active_sessions"
        case quotaUsed = "quota_used"
        case quotaRemaining = "quota_remaining"
        case concurrentLimit = "concurrent_limit"
        case dailyLimit = "daily_limit"
        case maxDurationSeconds = "max_duration_seconds"
        case maxMemoryMB = "max_memory_mb"
    }

    /// Limits that are nil are none.
    public init(
        sessionsToday: Int, activeSessions: Int, tier: String, concurrentLimit: Int?, dailyLimit: Int?, maxDurationMs: Int64?,
        maxMemoryMB: Int?
    ) {
        self.sessionsToday = sessionsToday
        self.activeSessions = activeSessions
        quotaUsed = sessionsToday
        quotaRemaining = dailyLimit.map { max(0, $0 - sessionsToday) } ?? -1
        self.tier = tier
        self.concurrentLimit = concurrentLimit ?? -1
        self.dailyLimit = dailyLimit ?? -1
        maxDurationSeconds = maxDurationMs.map { $0 / 1000 } ?? -1
        self.maxMemoryMB = maxMemoryMB ?? -1
    }
}
