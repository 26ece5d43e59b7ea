import ExecboxModel

/// Who makes a call: the key that was shown, whose it is, and what it may be used for.
package struct Caller: Hashable, Sendable {
    package var accountID: AccountID
    package var keyID: KeyID
    package var publicID: String
    package var scopes: Set<Scope>
    /// The account's, as it was when the key was looked up, a second ago at most.
    package var tier: Tier
    /// What its requests count against.
    package let rateLimits: [RateLimit]

    /// - Parameter requestsPerSecond: the key's own limit, within the tier's.
    package init(
        accountID: AccountID, keyID: KeyID, publicID: String, scopes: Set<Scope>, tier: Tier, requestsPerSecond: Int? = nil
    ) {
        self.accountID = accountID
        self.keyID = keyID
        self.publicID = publicID
        self.scopes = scopes
        self.tier = tier
        rateLimits = RateLimit.requests(of: accountID, tier: tier, keyID: keyID, own: requestsPerSecond)
    }

    init(_ key: Key, tier: Tier) {
        self.init(
            accountID: key.accountID, keyID: key.id, publicID: key.publicID, scopes: key.scopes, tier: tier,
            requestsPerSecond: key.requestsPerSecond)
    }

    /// - Throws: `forbidden`, naming the scope.
    package func require(_ scope: Scope) throws(ExecboxError) {
        guard scopes.contains(scope) else {
            throw ExecboxError(
                .forbidden, "this API key has not the scope \(scope.rawValue)", details: ["scope": .text(scope.rawValue)])
        }
    }
}
