import ExecboxModel

/// How often something may be asked for: a token bucket, shared by all replicas.
package struct RateLimit: Hashable, Sendable {
    /// The bucket's name.
    package var subject: String
    /// As callers read it: `requests_per_second`.
    package var name: String
    /// Whose limit it is: `key`, `account`, `ip`.
    package var owner: String
    /// What a full bucket holds: so much may come at once.
    package var capacity: Int
    /// Until an empty bucket is full.
    package var window: Duration

    package init(subject: String, name: String, owner: String, capacity: Int, window: Duration) {
        precondition(capacity > 0 && window > .zero, "a limit lets something through")
        self.subject = subject
        self.name = name
        self.owner = owner
        self.capacity = capacity
        self.window = window
    }

    package static let requestsPerSecond = "requests_per_second"

    /// What a caller's requests count against. A key without a limit of its own shares the account's, which its tier gives.
    static func requests(of accountID: AccountID, tier: Tier, keyID: KeyID, own: Int?) -> [RateLimit] {
        let account = RateLimit(
            subject: "account:\(accountID)", name: requestsPerSecond, owner: "account", capacity: tier.requestsPerSecond,
            window: .seconds(1))
        guard let own, own < tier.requestsPerSecond else { return [account] }
        return [
            RateLimit(subject: "key:\(keyID)", name: requestsPerSecond, owner: "key", capacity: own, window: .seconds(1)), account,
        ]
    }

    /// Tokens a second.
    var rate: Double { Double(capacity) / window.inSeconds }

    /// What a replica takes in one go: a tenth of a second's worth.
    var lease: Int { min(capacity, max(1, Int((rate / 10).rounded(.up)))) }

    /// Refused: what the caller is told.
    func exceeded(retryAfter: Duration) -> ExecboxError {
        let seconds = max(1, Int(retryAfter.inSeconds.rounded(.up)))
        let period = window == .seconds(1) ? "a second" : window == .seconds(3600) ? "an hour" : "in \(Int(window.inSeconds)) s"
        let whose = owner == "ip" ? "this address's" : "the \(owner)'s"
        return ExecboxError(
            .rateLimited, "\(whose) limit of \(capacity) requests \(period) is reached; try again in \(seconds) s",
            details: ["limit": .text(name), "value": .number(Int64(capacity)), "owner": .text(owner)], retryAfter: seconds)
    }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
