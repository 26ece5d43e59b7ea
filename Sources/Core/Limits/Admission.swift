import ExecboxModel

/// What is known when a session asks to be made: read in the transaction that makes it, with account and host locked, so that two creates
/// never both take the last place.
package struct Admission: Hashable, Sendable {
    /// Sessions that have not ended, and those made since the account's day began that have not failed.
    package struct Count: Hashable, Sendable {
        package var open: Int
        package var today: Int

        package init(open: Int, today: Int) {
            self.open = open
            self.today = today
        }
    }

    /// The account's month so far.
    package struct Month: Hashable, Sendable {
        package var costMicros: Int64
        package var secondsLeft: Int

        package init(costMicros: Int64, secondsLeft: Int) {
            self.costMicros = costMicros
            self.secondsLeft = secondsLeft
        }
    }

    package var account: Account
    package var key: Key
    package var ofAccount: Count
    package var ofKey: Count
    /// Until the account's next day begins.
    package var secondsLeftToday: Int
    /// Nil where the account has no monthly cost limit.
    package var month: Month?
    /// Nil while the host's server has not said what it can carry.
    package var host: HostLoad?

    package init(account: Account, key: Key, ofAccount: Count, ofKey: Count, secondsLeftToday: Int, month: Month? = nil, host: HostLoad?) {
        self.account = account
        self.key = key
        self.ofAccount = ofAccount
        self.ofKey = ofKey
        self.secondsLeftToday = secondsLeftToday
        self.month = month
        self.host = host
    }

    /// When a place may be free again that somebody else's session takes now.
    private static let retrySeconds = 5

    /// The account's quotas, then the key's, then the host's room.
    ///
    /// - Throws: `quotaExceeded` with the limit's name, its value and whose it is; `unavailable` if the host is full.
    package func check(_ resources: Resources) throws(ExecboxError) {
        try check(ofAccount, concurrent: account.concurrentSessions, daily: account.sessionsPerDay) { name in
            let (own, tiers) =
                switch name {
                case .concurrent: (account.limits.concurrentSessions, account.tier.concurrentSessions)
                case .daily: (account.limits.sessionsPerDay, account.tier.sessionsPerDay)
                }
            return (own ?? .max) <= (tiers ?? .max) ? "account" : "tier"
        }
        if let month, let limit = account.limits.monthlyCostMicros, month.costMicros >= limit {
            throw ExecboxError(
                .quotaExceeded, "the account's monthly cost limit of \(limit) micro-USD is reached",
                details: ["limit": .text("monthly_cost_limit_micros"), "value": .number(limit), "owner": .text("account")],
                retryAfter: max(1, month.secondsLeft))
        }
        try check(ofKey, concurrent: key.concurrentSessions, daily: key.sessionsPerDay) { _ in "key" }
        try checkHost(resources)
    }

    private enum Name: String {
        case concurrent = "concurrent_sessions"
        case daily = "sessions_per_day"
    }

    private func check(_ count: Count, concurrent: Int?, daily: Int?, owner: (Name) -> String) throws(ExecboxError) {
        if let concurrent, count.open >= concurrent {
            throw exceeded(.concurrent, concurrent, owner(.concurrent), "sessions at once", retryAfter: Self.retrySeconds)
        }
        if let daily, count.today >= daily {
            throw exceeded(.daily, daily, owner(.daily), "sessions a day", retryAfter: max(1, secondsLeftToday))
        }
    }

    private func exceeded(_ name: Name, _ value: Int, _ owner: String, _ what: String, retryAfter: Int) -> ExecboxError {
        ExecboxError(
            .quotaExceeded, "the \(owner)'s limit of \(value) \(what) is reached",
            details: ["limit": .text(name.rawValue), "value": .number(Int64(value)), "owner": .text(owner)], retryAfter: retryAfter)
    }

    private func checkHost(_ resources: Resources) throws(ExecboxError) {
        guard let host else { return }
        if resources.memoryMB > host.capacity.memoryMB {
            throw .invalid(
                "resources.memoryMB", "resources.memoryMB is \(resources.memoryMB), this host gives at most \(host.capacity.memoryMB)")
        }
        let rooms: [(what: String, free: Int, wanted: Int)] = [
            ("sessions", host.capacity.sessions - host.taken.sessions, 1),
            ("memoryMB", host.capacity.memoryMB - host.taken.memoryMB, resources.memoryMB),
            ("cpuMillis", host.capacity.cpuMillis - host.taken.cpuMillis, resources.cpuMillis),
        ]
        guard let full = rooms.first(where: { $0.wanted > $0.free }) else { return }
        throw ExecboxError(
            .unavailable, "the host is full: \(max(0, full.free)) \(full.what) are free, \(full.wanted) are needed; try again later",
            details: ["limit": .text("host_\(full.what)")], retryAfter: Self.retrySeconds)
    }
}
