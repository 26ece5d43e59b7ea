import ExecboxModel

/// What an account may do at most; nil is "no limit". Tiers are rows, so that operators can edit them.
package struct Tier: Hashable, Sendable {
    package var name: String
    package var sessionsPerDay: Int?
    package var concurrentSessions: Int?
    package var maxDurationMs: Int64?
    package var maxMemoryMB: Int?
    package var maxCPUMillis: Int?
    package var requestsPerSecond: Int

    package init(
        name: String, sessionsPerDay: Int? = nil, concurrentSessions: Int? = nil, maxDurationMs: Int64? = nil, maxMemoryMB: Int? = nil,
        maxCPUMillis: Int? = nil, requestsPerSecond: Int
    ) {
        self.name = name
        self.sessionsPerDay = sessionsPerDay
        self.concurrentSessions = concurrentSessions
        self.maxDurationMs = maxDurationMs
        self.maxMemoryMB = maxMemoryMB
        self.maxCPUMillis = maxCPUMillis
        self.requestsPerSecond = requestsPerSecond
    }

    /// What every account without a tier of its own, or with one that has expired, has.
    package static let fallbackName = "free"
}
