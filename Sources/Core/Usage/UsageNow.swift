import ExecboxModel

/// Where an account stands at this moment.
package struct UsageNow: Hashable, Sendable {
    /// Sessions made since the account's day began that have not failed: what its daily limit counts.
    package var sessionsToday: Int
    /// Sessions that have not ended.
    package var activeSessions: Int
    /// Since the account's month began, running sessions up to now.
    package var monthCostMicros: Int64
}
