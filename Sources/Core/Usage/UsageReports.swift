import ExecboxModel

/// What callers may know of their account's usage and cost.
package struct UsageReports: Sendable {
    package struct Report: Sendable {
        package var account: Account
        package var now: UsageNow
        /// Newest first.
        package var days: [UsageSum]
        package var hours: [UsageSum]
    }

    private let store: UsageStore
    private let accounts: Accounts
    private let keys: KeyStore

    package init(store: UsageStore, accounts: Accounts, keys: KeyStore) {
        self.store = store
        self.accounts = accounts
        self.keys = keys
    }

    package func now(of caller: Caller) async throws -> (account: Account, now: UsageNow) {
        (try await accounts.account(of: caller), try await store.now(of: caller.accountID))
    }

    /// - Throws: `notFound` for a key of another account.
    package func report(of caller: Caller, _ subject: UsageSubject, days: Int) async throws -> Report {
        try await check(subject, of: caller)
        let (account, now) = try await now(of: caller)
        return Report(
            account: account, now: now, days: try await store.days(days, of: caller.accountID, subject),
            hours: try await store.hours(of: caller.accountID, subject))
    }

    package func days(_ count: Int, of caller: Caller, _ subject: UsageSubject) async throws -> [UsageSum] {
        try await check(subject, of: caller)
        return try await store.days(count, of: caller.accountID, subject)
    }

    /// Every session of the last `days` days, each once: those that have ended, then those that run.
    package func charges(of caller: Caller, _ subject: UsageSubject, days: Int) async throws -> ChargePages {
        try await check(subject, of: caller)
        let unbooked = try await store.unbooked(of: caller.accountID, subject)
        return ChargePages(store: store, account: caller.accountID, subject: subject, days: days, unbooked: unbooked)
    }

    /// Deleted keys have used what they have used.
    private func check(_ subject: UsageSubject, of caller: Caller) async throws {
        if case .key(let id) = subject, try await !keys.wasEver(id, of: caller.accountID) { throw Keys.notFound }
    }
}
