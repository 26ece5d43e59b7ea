import ExecboxModel
import Synchronization

/// Who a key is: looked up in the database, remembered for a second at most.
package final class Authenticator: Sendable {
    private struct Entry {
        var known: Known?
        var until: ContinuousClock.Instant
        var usedMark: ContinuousClock.Instant?
    }

    /// An object, since it is handed out with every request.
    private final class Known: Sendable {
        let key: Key
        let caller: Caller

        init(key: Key, caller: Caller) {
            self.key = key
            self.caller = caller
        }
    }

    /// More keys than this at once, and the cache starts over.
    private static let maxEntries = 10_000

    private let store: KeyStore
    private let accounts: AccountStore
    private let cache = Mutex<[String: Entry]>([:])
    /// Counts what was told of: a key that was read before may be another one now, and is not remembered.
    private let changes = Atomic(0)
    private let watch = ChangeWatch<String>()

    package init(store: KeyStore, accounts: AccountStore) {
        self.store = store
        self.accounts = accounts
    }

    /// - Throws: `unauthenticated`, with the same words for every cause.
    package func caller(bearer text: String?) async throws -> Caller {
        let now = Timestamp.now
        guard let text, let bearer = APIKey(text), let known = try await known(bearer.publicID), known.key.matches(bearer, at: now),
            known.key.isValid(at: now)
        else { throw Self.unauthenticated }
        try await markUsed(known.key)
        return known.caller
    }

    package static var unauthenticated: ExecboxError {
        ExecboxError(.unauthenticated, "a valid API key is required: Authorization: Bearer eb_…")
    }

    /// Returns once the caller's key is no longer valid: revoked, switched off, expired. For what goes on for long under one check.
    ///
    /// A secret that was rotated away does not end what was begun with it.
    package func waitUntilInvalid(_ caller: Caller) async throws {
        let expiry = Latest<Timestamp?>(nil)
        // The first look only learns when the key expires.
        var pause = Duration.zero
        while true {
            let gone = try await watch.wait(for: caller.publicID, until: .now + pause) { () -> Bool? in
                do {
                    guard let key = try await self.store.key(publicID: caller.publicID) else { return true }
                    expiry.withLock { $0 = key.expiresAt }
                    return key.isValid(at: .now) ? nil : true
                } catch is CancellationError {
                    throw CancellationError()
                } catch {
                    // Without a database nobody can tell; what runs goes on, as sessions do.
                    return nil
                }
            }
            if gone != nil { return }
            let left = expiry.withLock { $0 }.map { Duration.microseconds(max(1000, $0.unixMicroseconds - Timestamp.now.unixMicroseconds)) }
            pause = min(.seconds(5), left ?? .seconds(5))
        }
    }

    /// A key was changed somewhere: it is looked up anew, and whoever waits for its end looks too.
    package func changed(publicID: String) {
        changes.add(1, ordering: .sequentiallyConsistent)
        cache.withLock { $0[publicID] = nil }
        watch.changed(publicID)
    }

    package func resync() {
        changes.add(1, ordering: .sequentiallyConsistent)
        cache.withLock { $0 = [:] }
        watch.resync()
    }

    private func known(_ publicID: String) async throws -> Known? {
        if let entry = cache.withLock({ $0[publicID] }), ContinuousClock.now < entry.until { return entry.known }
        let before = changes.load(ordering: .sequentiallyConsistent)
        var known: Known?
        var until = ContinuousClock.now + .seconds(1)
        if let key = try await store.key(publicID: publicID), let account = try await accounts.account(key.accountID) {
            known = Known(key: key, caller: Caller(key, tier: account.tier))
            // From that moment on it is another tier.
            if let left = account.tierExpiresAt.map({ $0.unixMicroseconds - Timestamp.now.unixMicroseconds }), left > 0 {
                until = min(until, .now + .microseconds(left))
            }
        }
        cache.withLock { [known, until] cache in
            guard changes.load(ordering: .sequentiallyConsistent) == before else { return }
            if cache.count >= Self.maxEntries { cache = [:] }
            cache[publicID] = Entry(known: known, until: until, usedMark: cache[publicID]?.usedMark)
        }
        return known
    }

    private func markUsed(_ key: Key) async throws {
        let isDue = cache.withLock { cache -> Bool in
            let now = ContinuousClock.now
            if let mark = cache[key.publicID]?.usedMark, mark.duration(to: now) < .seconds(60) { return false }
            cache[key.publicID]?.usedMark = now
            return true
        }
        if isDue { try await store.markUsed(key.id) }
    }
}
