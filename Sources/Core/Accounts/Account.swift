import ExecboxModel

/// Who pays, and what was agreed.
package struct Account: Hashable, Sendable {
    package var id: AccountID
    package var name: String
    package var email: String?
    /// The one in force now: `Tier.fallbackName`'s once `tierExpiresAt` has passed.
    package var tier: Tier
    /// The one that was agreed, also when it has expired.
    package var ownTier: String
    package var tierExpiresAt: Timestamp?
    package var limits: AccountLimits
    package var createdAt: Timestamp
}

/// What an account has set for itself, within its tier.
package struct AccountLimits: Hashable, Sendable {
    /// Nil for the tier's.
    package var sessionsPerDay: Int?
    package var concurrentSessions: Int?
    package var monthlyCostMicros: Int64?
    /// Percent of `monthlyCostMicros`.
    package var alertThreshold: Int
    /// An IANA name: where the account's days and months begin.
    package var timezone: String
    package var billingEmail: String?
}

extension Account {
    /// The fields in which two states differ, for the audit log; the account's own limits are told of by themselves.
    func differences(from old: Account?) -> [String: AuditEntry.Change] {
        func fields(_ account: Account?) -> [(name: String, value: String?)] {
            [
                ("name", account?.name), ("email", account?.email), ("tier", account?.ownTier),
                ("tier_expires_at", account?.tierExpiresAt?.text),
            ]
        }
        return AuditEntry.changes(from: fields(old), to: fields(self))
    }
}

extension AccountLimits {
    /// The fields in which two states differ, for the audit log.
    func differences(from old: AccountLimits) -> [String: AuditEntry.Change] {
        func fields(_ limits: AccountLimits) -> [(name: String, value: String?)] {
            [
                ("daily_requests_limit", limits.sessionsPerDay.map(String.init)),
                ("concurrent_requests_limit", limits.concurrentSessions.map(String.init)),
                ("monthly_cost_limit_micros", limits.monthlyCostMicros.map(String.init)),
                ("alert_threshold", String(limits.alertThreshold)), ("timezone", limits.timezone), ("billing_email", limits.billingEmail),
            ]
        }
        return AuditEntry.changes(from: fields(old), to: fields(self))
    }
}

extension Account {
    /// The smaller of what the account has set and what its tier gives.
    package var sessionsPerDay: Int? { Self.least(limits.sessionsPerDay, tier.sessionsPerDay) }
    package var concurrentSessions: Int? { Self.least(limits.concurrentSessions, tier.concurrentSessions) }

    static func least(_ one: Int?, _ other: Int?) -> Int? { [one, other].compactMap { $0 }.min() }
}
