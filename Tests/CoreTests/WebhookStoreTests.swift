import ExecboxModel
import ExecboxPostgres
import Testing

@testable import ExecboxCore

/// Outbox and claims, on a real database.
@Suite struct WebhookStoreTests {
    private static let seal = Result { try SecretSeal(secret: [UInt8](repeating: 1, count: 32), purpose: "webhook") }

    private static func hook(_ fixture: StoreFixture, _ events: Set<WebhookEvent> = [.sessionEnded]) async throws -> Webhook {
        let webhooks = Webhooks(store: WebhookStore(database: fixture.pool), seal: try seal.get())
        return try await webhooks.create(url: "https://example.com/", events: events, by: fixture.caller, idempotency: nil).webhook
    }

    private static func emit(_ fixture: StoreFixture, _ count: Int, _ event: WebhookEvent = .sessionEnded) async throws {
        try await fixture.pool.withTransaction { transaction in
            for number in 0..<count {
                try await WebhookStore.emit(event, account: fixture.caller.accountID, ["n": number], transaction)
            }
        }
    }

    @Test func anEventIsLeftOnlyForWhoWantsItAndOnlyIfItHappened() async throws {
        try await StoreFixture.with { fixture in
            let store = WebhookStore(database: fixture.pool)
            let (ends, keys, off) = (
                try await Self.hook(fixture), try await Self.hook(fixture, [.keyCreated]), try await Self.hook(fixture)
            )
            var change = WebhookChange()
            change.isActive = false
            _ = try await store.update(off.id, of: fixture.caller.accountID, change, by: .system)
            struct Undone: Error {}
            await #expect(throws: Undone.self) {
                try await fixture.pool.withTransaction { transaction in
                    try await WebhookStore.emit(.sessionEnded, account: fixture.caller.accountID, ["x": 1], transaction)
                    throw Undone()
                }
            }
            try await fixture.finish(try await fixture.insertRunning(), elapsedMs: 5)
            #expect(try await store.deliveries(of: ends.id, before: nil, limit: 10).map(\.event) == ["session.ended"])
            #expect(try await store.deliveries(of: keys.id, before: nil, limit: 10).isEmpty)
            #expect(try await store.deliveries(of: off.id, before: nil, limit: 10).isEmpty)
        }
    }

    @Test func aDeliveryIsClaimedByOneReplicaAndOfOneAccountOnlySomeAtOnce() async throws {
        try await StoreFixture.with { fixture in
            let store = WebhookStore(database: fixture.pool)
            let (one, other) = (try await Self.hook(fixture), try await Self.hook(fixture))
            try await Self.emit(fixture, 10)
            let claimed = try await withThrowingTaskGroup(of: [WebhookAttempt].self) { group in
                for _ in 0..<6 { group.addTask { try await store.claimDue(limit: 16, perAccount: 4) } }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(Set(claimed.map(\.id)).count == claimed.count)
            #expect(claimed.count == 4 && claimed.allSatisfy { [one.id, other.id].contains($0.webhookID) })
            // A replica that died with them: they are due again.
            _ = try await fixture.pool.execute(
                "UPDATE webhook_deliveries SET claimed_until = now() - interval '1 s' WHERE claimed_until > now()")
            #expect(try await store.claimDue(limit: 100, perAccount: 100).count == 20)
        }
    }

    @Test func whatIsNotDeliveredIsTriedAgainUntilItsDayIsOver() async throws {
        try await StoreFixture.with { fixture in
            let store = WebhookStore(database: fixture.pool)
            let hook = try await Self.hook(fixture)
            try await Self.emit(fixture, 1)
            let first = try #require(try await store.claimDue(limit: 1, perAccount: 1).first)
            try await store.notDelivered(first.id, status: 500, error: "no", pause: .seconds(60))
            #expect(try await store.claimDue(limit: 1, perAccount: 1).isEmpty)
            let waiting = try #require(try await store.deliveries(of: hook.id, before: nil, limit: 1).first)
            #expect(waiting.status == .pending && waiting.attempts == 1 && waiting.lastStatus == 500 && waiting.lastError == "no")
            _ = try await fixture.pool.execute(
                "UPDATE webhook_deliveries SET next_attempt_at = now(), expires_at = now() + interval '1 minute'")
            _ = try await store.claimDue(limit: 1, perAccount: 1)
            try await store.notDelivered(first.id, status: nil, error: "gone", pause: .seconds(120))
            let over = try #require(try await store.deliveries(of: hook.id, before: nil, limit: 1).first)
            #expect(over.status == .failed && over.endedAt != nil && over.nextAttemptAt == nil)
            #expect(try await store.redeliver(first.id, of: hook.id, idempotency: nil)?.status == .pending)
            #expect(try await store.claimDue(limit: 1, perAccount: 1).count == 1)
            try await store.delivered(first.id, status: 204)
            #expect(try await store.deliveries(of: hook.id, before: nil, limit: 1).first?.status == .delivered)
        }
    }

    @Test func aDeletedWebhookGetsNothingMore() async throws {
        try await StoreFixture.with { fixture in
            let store = WebhookStore(database: fixture.pool)
            let hook = try await Self.hook(fixture)
            try await Self.emit(fixture, 2)
            #expect(try await store.delete(hook.id, of: fixture.caller.accountID, by: .system))
            #expect(try await store.claimDue(limit: 9, perAccount: 9).isEmpty)
            #expect(try await !store.delete(hook.id, of: fixture.caller.accountID, by: .system))
        }
    }

    @Test func whatIsSwitchedOffWaitsAndFailsWhenItsDayIsOver() async throws {
        try await StoreFixture.with { fixture in
            let store = WebhookStore(database: fixture.pool)
            let hook = try await Self.hook(fixture)
            try await Self.emit(fixture, 1)
            var change = WebhookChange()
            change.isActive = false
            _ = try await store.update(hook.id, of: fixture.caller.accountID, change, by: .system)
            #expect(try await store.claimDue(limit: 9, perAccount: 9).isEmpty)
            _ = try await fixture.pool.execute("UPDATE webhook_deliveries SET expires_at = now() - interval '1 s'")
            try await store.sweep()
            #expect(try await store.deliveries(of: hook.id, before: nil, limit: 9).map(\.status) == [.failed])
        }
    }

    @Test func aBacklogOfOneAccountHoldsNoOtherUp() async throws {
        try await StoreFixture.with { fixture in
            let store = WebhookStore(database: fixture.pool)
            _ = try await Self.hook(fixture)
            try await Self.emit(fixture, 40)
            let other = Caller(try await fixture.keys().0.make("other", account: "other").key)
            let webhooks = Webhooks(store: store, seal: try Self.seal.get())
            let hook = try await webhooks.create(url: "https://o/", events: [.sessionEnded], by: other, idempotency: nil).webhook
            try await fixture.pool.withTransaction { transaction in
                try await WebhookStore.emit(.sessionEnded, account: other.accountID, ["n": 1], transaction)
            }
            #expect(try await store.claimDue(limit: 2, perAccount: 4).contains { $0.webhookID == hook.id })
        }
    }

    @Test func aWebhookShowsNoMoreThanItsMakerMaySee() async throws {
        try await StoreFixture.with { fixture in
            let webhooks = Webhooks(store: WebhookStore(database: fixture.pool), seal: try Self.seal.get())
            let manager = Caller(try await fixture.keys().0.make("manager", account: "test", scopes: [.keys]).key)
            await #expect {
                _ = try await webhooks.create(url: "https://h/", events: [.sessionEnded], by: manager, idempotency: nil)
            } throws: {
                ($0 as? ExecboxError)?.details["scope"] == .text("sessions:read")
            }
            let hook = try await Self.hook(fixture)
            var change = WebhookChange()
            change.url = "https://elsewhere/"
            await #expect(throws: ExecboxError.self) {
                _ = try await webhooks.update(hook.id.description, change, by: manager)
            }
        }
    }

    @Test func anAccountHasSoManyWebhooks() async throws {
        try await StoreFixture.with { fixture in
            for _ in 0..<Webhooks.mostPerAccount { _ = try await Self.hook(fixture) }
            await #expect {
                _ = try await Self.hook(fixture)
            } throws: {
                ($0 as? ExecboxError)?.details["limit"] == .text("webhooks")
            }
        }
    }

    @Test func pausesDoubleUpToAnHour() {
        #expect(WebhookAttempt.pause(after: 1, jitter: 0) == .seconds(5))
        #expect(WebhookAttempt.pause(after: 4, jitter: 0) == .seconds(40))
        #expect(WebhookAttempt.pause(after: 500, jitter: 0) == .seconds(3600))
        #expect(WebhookAttempt.pause(after: 500, jitter: 1) == .seconds(4320))
    }

    @Test func aSignatureIsWhatAReceiverComputes() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac whsec_test
        let signature = WebhookAttempt.signature(
            of: #"{"a":1}"#, secret: "whsec_test", at: Timestamp(unixMicroseconds: 1_700_000_000_999_999))
        #expect(signature == "t=1700000000,v1=38877139021993b830af32feea6e18a8da83eb2f6e49ee50bd9e4cf4ca4d3789")
    }

    @Test func whatWasSealedForOneWebhookOpensForNoOther() throws {
        let seal = try Self.seal.get()
        let sealed = try seal.seal(Array("secret".utf8), context: "wh_1")
        #expect(try seal.open(sealed, context: "wh_1") == Array("secret".utf8))
        #expect(throws: (any Error).self) { try seal.open(sealed, context: "wh_2") }
        let other = try SecretSeal(secret: [UInt8](repeating: 1, count: 32), purpose: "environment")
        #expect(throws: (any Error).self) { try other.open(sealed, context: "wh_1") }
    }
}
