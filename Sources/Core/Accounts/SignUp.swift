import ExecboxModel

/// How strangers come by an account: one an address, of the lowest tier.
package struct SignUp: Sendable {
    package struct Settings: Sendable {
        package var isOpen = false
        /// Accounts and requests an hour, from one client address.
        package var perHour = 5

        package init() {}
    }

    private let settings: Settings
    private let keys: Keys
    private let requests: QuotaRequestStore

    package init(settings: Settings, keys: Keys, requests: QuotaRequestStore) {
        self.settings = settings
        self.keys = keys
        self.requests = requests
    }

    /// What a client's address may ask for without a key.
    package func limit(_ what: String, address: String) -> RateLimit {
        RateLimit(
            subject: "\(what):\(address)", name: "\(what)_per_hour", owner: "ip", capacity: settings.perHour, window: .seconds(3600))
    }

    /// - Throws: `forbidden` unless sign-up is open.
    package func checkOpen() throws(ExecboxError) {
        guard settings.isOpen else { throw ExecboxError(.forbidden, "sign-up is closed on this server") }
    }

    /// - Throws: `conflict` if the address has an account.
    package func join(email: String, name: String?, idempotency: IdempotencyClaim?) async throws -> (text: String, key: Key, tier: String) {
        try checkOpen()
        var change = AccountChange()
        change.name = name ?? email
        change.email = .some(email)
        change.tier = Tier.fallbackName
        change.isSignUp = true
        let (text, key) = try await keys.create(withAccount: change, name: "first key", by: .system, idempotency: idempotency)
        return (text, key, Tier.fallbackName)
    }

    /// The key that a repeated `join` names again.
    package func joined(_ keyID: String) async throws -> Key { try await keys.key(anybodys: keyID) }

    package func ask(_ request: QuotaRequest, by caller: Caller?, idempotency: IdempotencyClaim?) async throws -> QuotaRequest {
        var request = request
        request.accountID = caller?.accountID
        return try await requests.insert(request, by: caller.map { .key($0.keyID) } ?? .system, idempotency: idempotency)
    }

    package func asked(_ id: String) async throws -> QuotaRequest {
        guard let number = Int64(id), let request = try await requests.request(number) else {
            throw ExecboxError(.notFound, "no such quota request")
        }
        return request
    }
}
