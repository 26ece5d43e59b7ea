import ExecboxCore
import ExecboxModel
import ExecboxPostgres
import Testing

@Suite struct KeysTests {
    @Test func aKeyNamesItsAccount() async throws {
        try await StoreFixture.with { fixture in
            let keys = Keys(store: KeyStore(database: fixture.pool))
            let (text, row) = try await keys.create(name: "ci", accountName: "acme")
            #expect(try await keys.caller(bearer: text) == Caller(accountID: row.accountID, keyID: row.id))
            let (_, second) = try await keys.create(name: "cd", accountName: "acme")
            #expect(second.accountID == row.accountID)
            #expect(second.id != row.id)
        }
    }

    @Test func onlyTheHashIsStored() async throws {
        try await StoreFixture.with { fixture in
            let keys = Keys(store: KeyStore(database: fixture.pool))
            let (text, row) = try await keys.create(name: "ci", accountName: "acme")
            let secret = String(text.suffix(43))
            let found = try await fixture.pool.query("SELECT 1 AS one FROM api_keys k WHERE k::text LIKE \("%\(secret)%")")
            #expect(found.isEmpty)
            #expect(row.secretHash.count == 32)
        }
    }

    @Test func everyCauseHasTheSameAnswer() async throws {
        try await StoreFixture.with { fixture in
            let keys = Keys(store: KeyStore(database: fixture.pool))
            let (text, row) = try await keys.create(name: "ci", accountName: "acme")
            let wrongSecret = text.dropLast(43) + String(repeating: "a", count: 43)
            let unknown = "eb_" + String(repeating: "z", count: 12) + "_" + text.suffix(43)
            #expect(try await keys.revoke(row.publicID))
            var messages: Set<String> = []
            for bearer in [nil, "", "nonsense", String(wrongSecret), unknown, text] {
                do {
                    _ = try await keys.caller(bearer: bearer)
                    Issue.record("\(bearer ?? "nil") was taken")
                } catch let error as ExecboxError {
                    #expect(error.code == .unauthenticated)
                    messages.insert(error.message)
                }
            }
            #expect(messages.count == 1)
        }
    }

    @Test func revokingTwiceSaysSo() async throws {
        try await StoreFixture.with { fixture in
            let keys = Keys(store: KeyStore(database: fixture.pool))
            let (text, _) = try await keys.create(name: "ci", accountName: "acme")
            #expect(try await keys.revoke(text))
            #expect(try await !keys.revoke(text))
        }
    }

    @Test func anExpiredKeyIsRefused() async throws {
        try await StoreFixture.with { fixture in
            let keys = Keys(store: KeyStore(database: fixture.pool))
            let (text, row) = try await keys.create(name: "ci", accountName: "acme")
            _ = try await fixture.pool.execute("UPDATE api_keys SET expires_at = now() WHERE public_id = \(row.publicID)")
            await #expect(throws: ExecboxError.self) { try await keys.caller(bearer: text) }
        }
    }
}
