import ExecboxModel
import ExecboxPostgres

/// The rules of API keys: who may make and change which, and what they may allow.
package struct Keys: Sendable {
    package static let maxNameCharacters = 255

    private let store: KeyStore
    private let accounts: AccountStore
    private let authenticator: Authenticator?

    /// - Parameter authenticator: of this process, to drop what it remembers of a changed key before the change is answered.
    package init(store: KeyStore, accounts: AccountStore, authenticator: Authenticator? = nil) {
        self.store = store
        self.accounts = accounts
        self.authenticator = authenticator
    }

    // MARK: Of one's own account

    package func list(of caller: Caller) async throws -> [Key] { try await store.keys(of: caller.accountID) }

    package func key(_ id: String, of caller: Caller) async throws -> Key {
        guard let id = KeyID(id), let key = try await store.key(id, of: caller.accountID) else { throw Self.notFound }
        return key
    }

    /// A new key of the caller's account. The text cannot be had again.
    package func create(_ change: KeyChange, by caller: Caller, idempotency: IdempotencyClaim? = nil) async throws -> (
        text: String, key: Key
    ) {
        var change = change
        // What nobody chose is what the caller has itself, but never admin.
        let scopes = change.scopes ?? caller.scopes.subtracting([.admin])
        change.scopes = scopes
        return try await insert(
            change, account: caller.accountID, by: .key(caller.keyID), grantable: caller.scopes, idempotency: idempotency)
    }

    package func update(_ id: String, _ change: KeyChange, by caller: Caller) async throws -> Key {
        try await changing(id, by: caller) { old, account, otherManagers in
            try check(change, in: account)
            let key = change.applied(to: old)
            try Self.checkGrant(key.scopes.subtracting(old.scopes), of: caller.scopes)
            if old.isManager, !key.isManager, otherManagers == 0 { throw Self.lastManager }
            return (key, .keyUpdated)
        }
    }

    /// A new secret at once; the old one is taken for so many seconds more.
    package func rotate(_ id: String, graceSeconds: Int64, by caller: Caller, idempotency: IdempotencyClaim? = nil) async throws -> (
        text: String, key: Key
    ) {
        let new = APIKey.make()
        let key = try await changing(id, by: caller, idempotency: idempotency) { old, _, _ in
            // Whoever gets the new secret can do what the key can.
            try Self.checkGrant(old.scopes, of: caller.scopes)
            var key = old
            key.secretHash = new.secretHash
            key.former =
                graceSeconds > 0
                ? Key.Former(secretHash: old.secretHash, validUntil: Timestamp.now.adding(milliseconds: graceSeconds * 1000)) : nil
            return (key, .keyRotated)
        }
        return (new.with(publicID: key.publicID).text, key)
    }

    package func delete(_ id: String, by caller: Caller) async throws {
        _ = try await changing(id, by: caller) { old, _, otherManagers in
            if old.isManager, otherManagers == 0 { throw Self.lastManager }
            var key = old
            key.deletedAt = .now
            return (key, .keyDeleted)
        }
    }

    private func changing(
        _ id: String, by caller: Caller, idempotency: IdempotencyClaim? = nil,
        _ change: @Sendable (Key, Account, _ otherManagers: Int) throws -> (Key, AuditEntry.Action)
    ) async throws -> Key {
        guard let id = KeyID(id) else { throw Self.notFound }
        return try await changed(
            store.changing(caller.accountID) { transaction in
                guard let old = try await KeyStore.key(id, of: caller.accountID, transaction),
                    let account = try await AccountStore.account(caller.accountID, transaction)
                else { throw Self.notFound }
                try await IdempotencyStore.record(idempotency, resource: id.description, transaction)
                let otherManagers = try await store.otherManagers(of: caller.accountID, than: id, in: transaction)
                let (key, action) = try change(old, account, otherManagers)
                let changes = key.differences(from: old)
                // Nothing changed: nothing to tell.
                if action == .keyUpdated, changes.isEmpty { return old }
                let stored = try await store.update(key, in: transaction)
                try await AuditStore.append(
                    action, of: id.description, account: caller.accountID, by: .key(caller.keyID), changes: changes, in: transaction)
                return stored
            })
    }

    /// This process forgets what it knew of the key before anybody is answered.
    private func changed(_ key: Key) -> Key {
        authenticator?.changed(publicID: key.publicID)
        return key
    }

    private func insert(
        _ change: KeyChange, account id: AccountID, by actor: AuditActor, grantable: Set<Scope>, idempotency: IdempotencyClaim? = nil
    ) async throws -> (text: String, key: Key) {
        try Self.checkGrant(change.scopes ?? Scope.standard, of: grantable)
        return try await store.changing(id) { transaction in
            guard let account = try await AccountStore.account(id, transaction) else { throw Self.notFound }
            try check(change, in: account)
            return try await insert(change, account: id, by: actor, idempotency: idempotency, in: transaction)
        }
    }

    private func insert(
        _ change: KeyChange, account id: AccountID, by actor: AuditActor, idempotency: IdempotencyClaim?,
        in transaction: PostgresTransaction
    ) async throws -> (text: String, key: Key) {
        let text = APIKey.make()
        let new = Key(
            id: .make(unixMilliseconds: UInt64(clamping: Timestamp.now.unixMicroseconds / 1000)), accountID: id, publicID: text.publicID,
            secretHash: text.secretHash, name: change.name ?? "", isActive: true, scopes: change.scopes ?? Scope.standard, createdAt: .now)
        let stored = try await store.insert(change.applied(to: new), in: transaction)
        try await IdempotencyStore.record(idempotency, resource: stored.id.description, transaction)
        try await AuditStore.append(
            .keyCreated, of: stored.id.description, account: id, by: actor, changes: stored.differences(from: nil), in: transaction)
        return (text.text, stored)
    }

    // MARK: Rules

    /// Nobody raises a key above its account, and nothing is made that has expired already.
    private func check(_ change: KeyChange, in account: Account) throws(ExecboxError) {
        if case .some(.some(let wanted)) = change.sessionsPerDay, let most = account.sessionsPerDay, wanted > most {
            throw .invalid("custom_daily_limit", "custom_daily_limit is \(wanted), the account's limit is \(most)")
        }
        if case .some(.some(let wanted)) = change.concurrentSessions, let most = account.concurrentSessions, wanted > most {
            throw .invalid("custom_concurrent_limit", "custom_concurrent_limit is \(wanted), the account's limit is \(most)")
        }
        if case .some(.some(let wanted)) = change.requestsPerSecond, wanted > account.tier.requestsPerSecond {
            throw .invalid(
                "custom_rate_limit", "custom_rate_limit is \(wanted), the tier \(account.tier.name) gives \(account.tier.requestsPerSecond)"
            )
        }
        if case .some(.some(let expiresAt)) = change.expiresAt, expiresAt <= .now {
            throw .invalid("expires_at", "expires_at is in the past: \(expiresAt.text)")
        }
    }

    /// A key hands on only what it has.
    private static func checkGrant(_ scopes: Set<Scope>, of own: Set<Scope>) throws(ExecboxError) {
        guard let missing = scopes.subtracting(own).min() else { return }
        throw ExecboxError(
            .forbidden, "this API key has not the scope \(missing.rawValue), so it cannot give it to another",
            details: ["scope": .text(missing.rawValue)])
    }

    package static let notFound = ExecboxError(.notFound, "no such API key")

    private static let lastManager = ExecboxError(
        .conflict, "this is the account's last key that can manage keys; make another one with the scope keys first")

    // MARK: Administration

    /// A new key of the account with this name, which is made if need be.
    package func create(
        name: String, accountName: String, tier: String, scopes: Set<Scope>, by actor: AuditActor
    ) async throws -> (text: String, key: Key) {
        let id = AccountID.make(unixMilliseconds: UInt64(clamping: Timestamp.now.unixMicroseconds / 1000))
        let account = try await accounts.findOrCreate(name: accountName, tier: tier, id: id, by: actor)
        var change = KeyChange()
        change.name = name
        change.scopes = scopes
        return try await insert(change, account: account.id, by: actor, grantable: Set(Scope.allCases))
    }

    package func list() async throws -> [Key] { try await store.keys() }

    /// A new account and its first key, or neither.
    package func create(
        withAccount account: AccountChange, name: String, by actor: AuditActor, idempotency: IdempotencyClaim? = nil
    ) async throws -> (text: String, key: Key) {
        try await store.transaction { transaction in
            let account = try await AccountStore.create(account, by: actor, in: transaction)
            var change = KeyChange()
            change.name = name
            return try await insert(change, account: account.id, by: actor, idempotency: idempotency, in: transaction)
        }
    }

    package func list(ofAccount id: AccountID) async throws -> [Key] { try await store.keys(of: id) }

    /// A new key of any account, with any scopes.
    package func create(
        _ change: KeyChange, ofAccount id: AccountID, by actor: AuditActor, idempotency: IdempotencyClaim? = nil
    ) async throws -> (text: String, key: Key) {
        try await insert(change, account: id, by: actor, grantable: Set(Scope.allCases), idempotency: idempotency)
    }

    package func key(anybodys id: String) async throws -> Key {
        guard let id = KeyID(id), let key = try await store.key(anybodys: id) else { throw Self.notFound }
        return key
    }

    /// False when there is no such key, or it was deleted before.
    ///
    /// - Parameter text: a whole key, or its public id.
    package func revoke(_ text: String, by actor: AuditActor) async throws -> Bool {
        let publicID = APIKey(text)?.publicID ?? text
        guard let found = try await store.key(publicID: publicID), found.deletedAt == nil else { return false }
        let key: Key? = try await store.changing(found.accountID) { transaction in
            guard var key = try await KeyStore.key(found.id, of: found.accountID, transaction) else { return nil }
            key.deletedAt = .now
            try await AuditStore.append(
                .keyDeleted, of: key.id.description, account: key.accountID, by: actor, changes: [:], in: transaction)
            return try await store.update(key, in: transaction)
        }
        return key.map(changed) != nil
    }
}

extension Key {
    /// Whether it can manage keys now.
    fileprivate var isManager: Bool { scopes.contains(.keys) && isValid(at: .now) }
}
