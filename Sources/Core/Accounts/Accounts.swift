import ExecboxModel

/// The rules of accounts: what callers may see and set of their own.
package struct Accounts: Sendable {
    /// What to set; a nil member is left as it is, an inner nil cleared.
    package struct LimitsChange: Equatable, Sendable {
        package var sessionsPerDay: Int??
        package var concurrentSessions: Int??
        package var monthlyCostMicros: Int64??
        package var billingEmail: String??
        package var alertThreshold: Int?
        package var timezone: String?

        package init() {}
    }

    private let store: AccountStore
    private let audit: AuditStore

    package init(store: AccountStore, audit: AuditStore) {
        self.store = store
        self.audit = audit
    }

    package func account(of caller: Caller) async throws -> Account {
        guard let account = try await store.account(caller.accountID) else { throw Self.notFound }
        return account
    }

    /// Sets the account's own limits. Nobody raises them above the tier.
    package func changeLimits(_ change: LimitsChange, by caller: Caller) async throws -> Account {
        if let timezone = change.timezone {
            guard try await store.isTimezone(timezone) else {
                throw ExecboxError.invalid("timezone", "timezone is no name of the IANA time zone database, such as Europe/Berlin")
            }
        }
        let account = try await store.changeLimits(of: caller.accountID, by: .key(caller.keyID)) { account in
            if case .some(.some(let wanted)) = change.sessionsPerDay, let most = account.tier.sessionsPerDay, wanted > most {
                throw ExecboxError.invalid(
                    "daily_requests_limit", "daily_requests_limit is \(wanted), the tier \(account.tier.name) gives \(most)")
            }
            if case .some(.some(let wanted)) = change.concurrentSessions, let most = account.tier.concurrentSessions, wanted > most {
                throw ExecboxError.invalid(
                    "concurrent_requests_limit", "concurrent_requests_limit is \(wanted), the tier \(account.tier.name) gives \(most)")
            }
            var limits = account.limits
            if let value = change.sessionsPerDay { limits.sessionsPerDay = value }
            if let value = change.concurrentSessions { limits.concurrentSessions = value }
            if let value = change.monthlyCostMicros { limits.monthlyCostMicros = value }
            if let value = change.billingEmail { limits.billingEmail = value }
            if let value = change.alertThreshold { limits.alertThreshold = value }
            if let value = change.timezone { limits.timezone = value }
            return limits
        }
        guard let account else { throw Self.notFound }
        return account
    }

    /// Newest first.
    ///
    /// - Returns: at most `limit` entries, and where the next page begins if there is one.
    package func auditLog(of caller: Caller, cursor: Int64?, limit: Int) async throws -> (entries: [AuditEntry], next: Int64?) {
        let entries = try await audit.entries(of: caller.accountID, before: cursor, limit: limit + 1)
        guard entries.count > limit else { return (entries, nil) }
        let page = Array(entries.prefix(limit))
        return (page, page.last?.id)
    }

    private static let notFound = ExecboxError(.notFound, "no such account")
}
