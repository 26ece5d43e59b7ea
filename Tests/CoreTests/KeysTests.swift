import ExecboxCore
import ExecboxModel
import ExecboxPostgres
import Testing

@Suite struct KeysTests {
    @Test func nobodyGetsMoreThanTheirOwnByRotatingAnothersKey() async throws {
        try await StoreFixture.with { fixture in
            let (keys, _) = fixture.keys()
            let admin = try await keys.make("admin", account: "test", scopes: [.admin, .keys]).key
            let manager = Caller(try await keys.make("manager", account: "test", scopes: [.keys]).key)
            await #expect {
                _ = try await keys.rotate(admin.id.description, graceSeconds: 0, by: manager)
            } throws: {
                ($0 as? ExecboxError)?.details["scope"] == .text("admin")
            }
            _ = try await keys.rotate(admin.id.description, graceSeconds: 0, by: Caller(admin))
        }
    }

    @Test func aKeyNamesItsAccount() async throws {
        try await StoreFixture.with { fixture in
            let (keys, authenticator) = fixture.keys()
            let (text, row) = try await keys.make("ci")
            #expect(try await authenticator.caller(bearer: text) == Caller(row))
            let (_, second) = try await keys.make("cd")
            #expect(second.accountID == row.accountID)
            #expect(second.id != row.id)
        }
    }

    @Test func onlyTheHashIsStored() async throws {
        try await StoreFixture.with { fixture in
            let (keys, _) = fixture.keys()
            let (text, row) = try await keys.make("ci")
            let secret = String(text.suffix(43))
            let found = try await fixture.pool.query("SELECT 1 AS one FROM api_keys k WHERE k::text LIKE \("%\(secret)%")")
            #expect(found.isEmpty)
            #expect(row.secretHash.count == 32)
        }
    }

    @Test func everyCauseHasTheSameAnswer() async throws {
        try await StoreFixture.with { fixture in
            let (keys, authenticator) = fixture.keys()
            let (text, row) = try await keys.make("ci")
            let wrongSecret = text.dropLast(43) + String(repeating: "a", count: 43)
            let unknown = "eb_" + String(repeating: "z", count: 12) + "_" + text.suffix(43)
            #expect(try await keys.revoke(row.publicID, by: .system))
            var messages: Set<String> = []
            for bearer in [nil, "", "nonsense", String(wrongSecret), unknown, text] {
                do {
                    _ = try await authenticator.caller(bearer: bearer)
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
            let (keys, _) = fixture.keys()
            let (text, _) = try await keys.make("ci")
            #expect(try await keys.revoke(text, by: .system))
            #expect(try await !keys.revoke(text, by: .system))
        }
    }

    @Test func anExpiredKeyIsRefused() async throws {
        try await StoreFixture.with { fixture in
            let (keys, authenticator) = fixture.keys()
            let (text, row) = try await keys.make("ci")
            _ = try await fixture.pool.execute("UPDATE api_keys SET expires_at = now() WHERE public_id = \(row.publicID)")
            await #expect(throws: ExecboxError.self) { try await authenticator.caller(bearer: text) }
        }
    }

    @Test func aSecondKeyOfTheAccountIsMadeByTheFirst() async throws {
        try await StoreFixture.with { fixture in
            let (keys, authenticator) = fixture.keys()
            let owner = Caller(try await keys.make("owner", scopes: Set(Scope.allCases)).key)
            let (text, key) = try await keys.create(name: "second", KeyChange(), by: owner)
            #expect(key.accountID == owner.accountID)
            // Admin is never passed on by chance.
            #expect(key.scopes == Scope.standard)
            #expect(try await authenticator.caller(bearer: text) == Caller(key))
            #expect(try await keys.list(of: owner).map(\.name) == ["owner", "second"])
        }
    }

    @Test func aKeyHandsOnOnlyWhatItHas() async throws {
        try await StoreFixture.with { fixture in
            let (keys, _) = fixture.keys()
            let limited = Caller(try await keys.make("limited", scopes: [.keys, .usage]).key)
            var change = KeyChange()
            change.scopes = [.usage, .admin]
            await #expect { try await keys.create(name: "more", change, by: limited) } throws: { error in
                (error as? ExecboxError)?.code == .forbidden && (error as? ExecboxError)?.details["scope"] == .text("admin")
            }
            let other = try await keys.make("other", scopes: [.usage]).key
            change.scopes = [.usage, .sessionsWrite]
            await #expect(throws: ExecboxError.self) { try await keys.update(other.id.description, change, by: limited) }
            // What it has already stays, though the one who changes it could not give it.
            let strong = try await keys.make("strong", scopes: [.sessionsWrite]).key
            change.scopes = [.sessionsWrite, .usage]
            #expect(try await keys.update(strong.id.description, change, by: limited).scopes == [.sessionsWrite, .usage])
        }
    }

    @Test func anotherAccountsKeyIsNotThere() async throws {
        try await StoreFixture.with { fixture in
            let (keys, _) = fixture.keys()
            let foreign = try await keys.make("theirs", account: "other").key
            let caller = Caller(try await keys.make("ours").key)
            for id in [foreign.id.description, "key_nonsense", ""] {
                await #expect { try await keys.key(id, of: caller) } throws: { ($0 as? ExecboxError)?.code == .notFound }
                await #expect { try await keys.update(id, KeyChange(), by: caller) } throws: { ($0 as? ExecboxError)?.code == .notFound }
                await #expect { try await keys.rotate(id, graceSeconds: 0, by: caller) } throws: {
                    ($0 as? ExecboxError)?.code == .notFound
                }
                await #expect { try await keys.delete(id, by: caller) } throws: { ($0 as? ExecboxError)?.code == .notFound }
            }
        }
    }

    @Test func aRotatedKeyIsTakenAtOnceAndTheOldOneForItsGraceOnly() async throws {
        try await StoreFixture.with { fixture in
            let (keys, authenticator) = fixture.keys()
            let (first, key) = try await keys.make("ci")
            let caller = Caller(key)
            let second = try await keys.rotate(key.id.description, graceSeconds: 3600, by: caller).text
            #expect(second != first)
            #expect(try await authenticator.caller(bearer: first) == caller)
            #expect(try await authenticator.caller(bearer: second) == caller)
            _ = try await fixture.pool.execute("UPDATE api_keys SET former_valid_until = now() WHERE id = \(key.id.description)")
            authenticator.resync()
            await #expect(throws: ExecboxError.self) { try await authenticator.caller(bearer: first) }
            let third = try await keys.rotate(key.id.description, graceSeconds: 0, by: caller).text
            await #expect(throws: ExecboxError.self) { try await authenticator.caller(bearer: second) }
            #expect(try await authenticator.caller(bearer: third) == caller)
        }
    }

    @Test func theLastKeyThatCanManageKeysStays() async throws {
        try await StoreFixture.with { fixture in
            let (keys, _) = fixture.keys()
            let key = try await keys.make("only").key
            let caller = Caller(key)
            var off = KeyChange()
            off.isActive = false
            var fewer = KeyChange()
            fewer.scopes = [.usage]
            for change in [off, fewer] {
                await #expect { try await keys.update(key.id.description, change, by: caller) } throws: {
                    ($0 as? ExecboxError)?.code == .conflict
                }
            }
            await #expect { try await keys.delete(key.id.description, by: caller) } throws: { ($0 as? ExecboxError)?.code == .conflict }
            _ = try await keys.create(name: "another", KeyChange(), by: caller)
            try await keys.delete(key.id.description, by: caller)
            #expect(try await keys.list(of: caller).map(\.name) == ["another"])
        }
    }

    @Test func twoKeysThatDeleteEachOtherLeaveOne() async throws {
        try await StoreFixture.with { fixture in
            let (keys, _) = fixture.keys()
            for round in 0..<20 {
                let one = try await keys.make("one", account: "pair\(round)").key
                let two = try await keys.make("two", account: "pair\(round)").key
                await withTaskGroup { group in
                    group.addTask { try? await keys.delete(two.id.description, by: Caller(one)) }
                    group.addTask { try? await keys.delete(one.id.description, by: Caller(two)) }
                }
                #expect(try await keys.list(of: Caller(one)).count == 1)
            }
        }
    }

    @Test func noKeyIsRaisedAboveItsAccount() async throws {
        try await StoreFixture.with { fixture in
            let (keys, _) = fixture.keys()
            let caller = Caller(try await keys.make("small", account: "small", tier: "free").key)
            var daily = KeyChange()
            daily.sessionsPerDay = 11
            var concurrent = KeyChange()
            concurrent.concurrentSessions = 6
            var past = KeyChange()
            past.expiresAt = Timestamp.now.adding(milliseconds: -1)
            for (change, field) in [(daily, "custom_daily_limit"), (concurrent, "custom_concurrent_limit"), (past, "expires_at")] {
                await #expect { try await keys.create(name: "x", change, by: caller) } throws: {
                    ($0 as? ExecboxError)?.details["field"] == .text(field)
                }
            }
            daily.sessionsPerDay = 10
            #expect(try await keys.create(name: "x", daily, by: caller).key.sessionsPerDay == 10)
        }
    }

    @Test func everyChangeOfAKeyLeavesAnEntryWithItsActorAndNoSecret() async throws {
        try await StoreFixture.with { fixture in
            let (keys, _) = fixture.keys()
            let caller = Caller(try await keys.make("owner").key)
            let (text, key) = try await keys.create(name: "second", KeyChange(), by: caller)
            var change = KeyChange()
            change.name = "renamed"
            change.description = "for CI"
            _ = try await keys.update(key.id.description, change, by: caller)
            // Nothing changes, nothing is told.
            _ = try await keys.update(key.id.description, change, by: caller)
            let rotated = try await keys.rotate(key.id.description, graceSeconds: 60, by: caller).text
            try await keys.delete(key.id.description, by: caller)
            let log = try await fixture.accounts().auditLog(of: caller, cursor: nil, limit: 50).entries
            #expect(
                log.map(\.action) == [.keyDeleted, .keyRotated, .keyUpdated, .keyCreated, .keyCreated, .accountCreated])
            #expect(log.prefix(4).allSatisfy { $0.actor == "key:\(caller.keyID)" && $0.target == key.id.description })
            #expect(log.suffix(2).allSatisfy { $0.actor == "operator:test" })
            #expect(
                log[2].changes == [
                    "name": AuditEntry.Change(old: "second", new: "renamed"), "description": AuditEntry.Change(old: nil, new: "for CI"),
                ])
            for secret in [text, rotated] {
                let found = try await fixture.pool.query(
                    "SELECT 1 AS one FROM audit_log a WHERE a::text LIKE \("%\(secret.suffix(43))%")")
                #expect(found.isEmpty)
            }
        }
    }

    @Test func whoeverWaitsForAKeysEndHearsOfIt() async throws {
        try await StoreFixture.with { fixture in
            let (keys, authenticator) = fixture.keys()
            let owner = Caller(try await keys.make("owner").key)
            let key = try await keys.create(name: "second", KeyChange(), by: owner).key
            async let isOver: Void = authenticator.waitUntilInvalid(Caller(key))
            try await keys.delete(key.id.description, by: owner)
            try await isOver
            var soon = KeyChange()
            soon.expiresAt = Timestamp.now.adding(milliseconds: 300)
            let short = try await keys.create(name: "short", soon, by: owner).key
            try await authenticator.waitUntilInvalid(Caller(short))
            #expect(!short.isValid(at: .now))
        }
    }
}
