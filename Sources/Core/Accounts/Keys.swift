import ExecboxModel
import Synchronization

/// Who a key is: looked up in the database, remembered for a second at most.
package final class Keys: Sendable {
    private struct Entry {
        var row: KeyStore.Row?
        var until: ContinuousClock.Instant
        var usedMark: ContinuousClock.Instant?
    }

    /// More keys than this at once, and the cache starts over.
    private static let maxEntries = 10_000

    private let store: KeyStore
    private let cache = Mutex<[String: Entry]>([:])

    package init(store: KeyStore) { self.store = store }

    /// - Throws: `unauthenticated`, with the same words for every cause.
    package func caller(bearer text: String?) async throws -> Caller {
        guard let text, let key = APIKey(text), let row = try await row(key.publicID), key.matches(hash: row.secretHash),
            row.isValid(at: .now)
        else { throw Self.unauthenticated }
        try await markUsed(row)
        return Caller(accountID: row.accountID, keyID: row.id)
    }

    package static var unauthenticated: ExecboxError {
        ExecboxError(.unauthenticated, "a valid API key is required: Authorization: Bearer eb_…")
    }

    /// A key was changed somewhere: it is looked up anew.
    package func changed(publicID: String) { cache.withLock { $0[publicID] = nil } }

    package func resync() { cache.withLock { $0 = [:] } }

    private func row(_ publicID: String) async throws -> KeyStore.Row? {
        if let entry = cache.withLock({ $0[publicID] }), ContinuousClock.now < entry.until { return entry.row }
        let row = try await store.row(publicID: publicID)
        cache.withLock { cache in
            if cache.count >= Self.maxEntries { cache = [:] }
            cache[publicID] = Entry(row: row, until: .now + .seconds(1), usedMark: cache[publicID]?.usedMark)
        }
        return row
    }

    private func markUsed(_ row: KeyStore.Row) async throws {
        let isDue = cache.withLock { cache -> Bool in
            let now = ContinuousClock.now
            if let mark = cache[row.publicID]?.usedMark, mark.duration(to: now) < .seconds(60) { return false }
            cache[row.publicID]?.usedMark = now
            return true
        }
        if isDue { try await store.markUsed(row.id) }
    }

    // MARK: Administration

    /// A new key of the account with this name, which is made if need be. The text cannot be had again.
    package func create(name: String, accountName: String) async throws -> (text: String, row: KeyStore.Row) {
        let key = APIKey.make()
        let now = UInt64(clamping: Timestamp.now.unixMicroseconds / 1000)
        let row = try await store.insert(
            key,
            id: .make(unixMilliseconds: now),
            name: name,
            accountName: accountName,
            newAccountID: .make(unixMilliseconds: now)
        )
        return (key.text, row)
    }

    package func list() async throws -> [KeyStore.Row] { try await store.rows() }

    /// - Parameter key: a whole key, or its public id.
    package func revoke(_ key: String) async throws -> Bool {
        let publicID = APIKey(key)?.publicID ?? key
        defer { changed(publicID: publicID) }
        return try await store.revoke(publicID: publicID)
    }
}
