import ExecboxModel

/// Who makes a call: the key that was shown, whose it is, and what it may be used for.
package struct Caller: Hashable, Sendable {
    package var accountID: AccountID
    package var keyID: KeyID
    package var publicID: String
    package var scopes: Set<Scope>

    package init(accountID: AccountID, keyID: KeyID, publicID: String, scopes: Set<Scope>) {
        self.accountID = accountID
        self.keyID = keyID
        self.publicID = publicID
        self.scopes = scopes
    }

    /// - Throws: `forbidden`, naming the scope.
    package func require(_ scope: Scope) throws(ExecboxError) {
        guard scopes.contains(scope) else {
            throw ExecboxError(
                .forbidden, "this API key has not the scope \(scope.rawValue)", details: ["scope": .text(scope.rawValue)])
        }
    }
}
