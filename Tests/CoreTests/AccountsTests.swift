import ExecboxModel
import ExecboxPostgres
import Testing

@testable import ExecboxCore

@Suite struct AccountsTests {
    @Test func aNewTierAfterAnExpiryHoldsAndIsLogged() async throws {
        try await StoreFixture.with { fixture in
            let store = AccountStore(database: fixture.pool)
            _ = try await fixture.pool.execute("UPDATE accounts SET tier = 'pro', tier_expires_at = now() - interval '1 s'")
            #expect(try await store.account(fixture.caller.accountID)?.tier.name == "free")
            var change = AccountChange()
            change.tier = "starter"
            let changed = try #require(try await store.update(fixture.caller.accountID, change, by: .operator("test")))
            #expect(changed.tier.name == "starter" && changed.tierExpiresAt == nil)
            let entry = try #require(try await AuditStore(database: fixture.pool).entries(of: nil, before: nil, limit: 1).first)
            #expect(entry.action == .accountUpdated && entry.changes["tier"] == .init(old: "pro", new: "starter"))
        }
    }

    @Test func anAddressThatTwoTakeAtOnceIsOnesOnly() async throws {
        try await StoreFixture.with { fixture in
            let store = AccountStore(database: fixture.pool)
            var ids: [AccountID] = []
            for number in 0..<8 {
                var change = AccountChange()
                change.name = "account \(number)"
                ids.append(try await store.create(change, by: .system, idempotency: nil).id)
            }
            let all = ids
            let outcomes = await withTaskGroup(of: ExecboxError.Code?.self) { group in
                for id in all {
                    group.addTask {
                        var change = AccountChange()
                        change.email = .some("one@example.com")
                        do {
                            _ = try await store.update(id, change, by: .system)
                            return nil
                        } catch {
                            return (error as? ExecboxError)?.code ?? .internal
                        }
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(outcomes.count { $0 == nil } == 1 && outcomes.count { $0 == .conflict } == 7)
        }
    }

    @Test func anAccountHasItsTiersLimitsUntilItSetsLowerOnes() async throws {
        try await StoreFixture.with { fixture in
            let caller = Caller(try await fixture.keys().0.make("small", account: "small", tier: "free").key)
            let accounts = fixture.accounts()
            let before = try await accounts.account(of: caller)
            #expect(before.sessionsPerDay == 10 && before.concurrentSessions == 5)
            var change = Accounts.LimitsChange()
            change.sessionsPerDay = 7
            change.timezone = "Europe/Berlin"
            change.alertThreshold = 90
            let after = try await accounts.changeLimits(change, by: caller)
            #expect(after.sessionsPerDay == 7 && after.concurrentSessions == 5)
            #expect(after.limits.timezone == "Europe/Berlin" && after.limits.alertThreshold == 90)
            change = Accounts.LimitsChange()
            change.sessionsPerDay = .some(nil)
            #expect(try await accounts.changeLimits(change, by: caller).sessionsPerDay == 10)
        }
    }

    @Test func nobodyRaisesTheirOwnLimitsAboveTheTier() async throws {
        try await StoreFixture.with { fixture in
            let caller = Caller(try await fixture.keys().0.make("small", account: "small", tier: "free").key)
            var daily = Accounts.LimitsChange()
            daily.sessionsPerDay = 11
            var concurrent = Accounts.LimitsChange()
            concurrent.concurrentSessions = 6
            var zone = Accounts.LimitsChange()
            zone.timezone = "Europe/Nowhere"
            let before = try await fixture.accounts().account(of: caller)
            for (change, field) in [(daily, "daily_requests_limit"), (concurrent, "concurrent_requests_limit"), (zone, "timezone")] {
                await #expect { try await fixture.accounts().changeLimits(change, by: caller) } throws: {
                    ($0 as? ExecboxError)?.details["field"] == .text(field)
                }
            }
            #expect(try await fixture.accounts().account(of: caller) == before)
        }
    }

    @Test func aTierThatHasExpiredIsTheFreeOne() async throws {
        try await StoreFixture.with { fixture in
            let caller = Caller(try await fixture.keys().0.make("paid", account: "paid", tier: "pro").key)
            let accounts = fixture.accounts()
            #expect(try await accounts.account(of: caller).tier.name == "pro")
            _ = try await fixture.pool.execute(
                "UPDATE accounts SET tier_expires_at = now() WHERE id = \(caller.accountID.description)")
            let account = try await accounts.account(of: caller)
            #expect(account.tier.name == "free")
            #expect(account.concurrentSessions == 5)
        }
    }

    @Test func aChangeOfLimitsIsInTheAuditLogWithWhatWasAndIs() async throws {
        try await StoreFixture.with { fixture in
            var change = Accounts.LimitsChange()
            change.monthlyCostMicros = 5_000_000
            change.billingEmail = "billing@example.com"
            _ = try await fixture.accounts().changeLimits(change, by: fixture.caller)
            let entry = try #require(try await fixture.accounts().auditLog(of: fixture.caller, cursor: nil, limit: 1).entries.first)
            #expect(entry.action == .limitsUpdated)
            #expect(entry.actor == "key:\(fixture.caller.keyID)")
            #expect(
                entry.changes == [
                    "monthly_cost_limit_micros": AuditEntry.Change(old: nil, new: "5000000"),
                    "billing_email": AuditEntry.Change(old: nil, new: "billing@example.com"),
                ])
        }
    }

    @Test func theAuditLogComesInPages() async throws {
        try await StoreFixture.with { fixture in
            let (keys, _) = fixture.keys()
            for number in 0..<7 { _ = try await keys.create(name: "key \(number)", KeyChange(), by: fixture.caller) }
            var seen: [Int64] = []
            var cursor: Int64?
            repeat {
                let page = try await fixture.accounts().auditLog(of: fixture.caller, cursor: cursor, limit: 4)
                #expect(page.entries.count <= 4)
                seen += page.entries.map(\.id)
                cursor = page.next
            } while cursor != nil
            #expect(seen.count == 9)
            #expect(seen == seen.sorted(by: >))
        }
    }
}
