import ExecboxModel
import ExecboxPostgres
import ExecboxTestSupport
import Testing

@testable import ExecboxCore

/// Requests that are carried out once, on a real database.
@Suite struct IdempotencyTests {
    private static func request(_ key: String = "k", body: String = "b", scope: String = "acct") throws -> IdempotentRequest {
        try IdempotentRequest(scope: scope, key: key, method: "POST", target: "/v1/x", body: Array(body.utf8))
    }

    private static func replica(_ fixture: StoreFixture, _ claimant: Claimant? = nil) -> Idempotency {
        Idempotency(store: IdempotencyStore(database: fixture.pool), claimant: claimant ?? fixture.claimant, log: TestLog.logger)
    }

    private static func first(_ turn: Idempotency.Turn) -> IdempotencyClaim? {
        if case .first(let claim) = turn { claim } else { nil }
    }

    private static func resource(_ turn: Idempotency.Turn) -> String? {
        if case .repetition(let resource) = turn { resource } else { nil }
    }

    @Test func aRecordedRequestIsARepetitionForEveryReplica() async throws {
        try await StoreFixture.with { fixture in
            let one = Self.replica(fixture)
            let claim = try #require(Self.first(try await one.begin(Self.request())))
            try await one.hold(claim) { try await one.record(claim, resource: "made") }
            let other = Self.replica(fixture, Claimant(node: "other", pid: 1, startTime: 1, token: "t"))
            #expect(Self.resource(try await other.begin(Self.request())) == "made")
            // Another account's keys, and other keys, are other requests.
            #expect(Self.first(try await other.begin(Self.request(scope: "acct2"))) != nil)
            #expect(Self.first(try await other.begin(Self.request("k2"))) != nil)
        }
    }

    @Test func theSameKeyForAnotherRequestIsRefused() async throws {
        try await StoreFixture.with { fixture in
            let replica = Self.replica(fixture)
            _ = try await replica.begin(Self.request())
            await #expect {
                _ = try await replica.begin(Self.request(body: "other"))
            } throws: {
                ($0 as? ExecboxError)?.code == .idempotencyMismatch
            }
        }
    }

    @Test func whatFailedMayBeMadeAgain() async throws {
        try await StoreFixture.with { fixture in
            let replica = Self.replica(fixture)
            let claim = try #require(Self.first(try await replica.begin(Self.request())))
            await #expect(throws: ExecboxError.self) {
                try await replica.hold(claim) { throw ExecboxError.invalid("x", "x") }
            }
            #expect(Self.first(try await replica.begin(Self.request(body: "even another body"))) != nil)
        }
    }

    @Test func whatFailedAfterItWasRecordedIsARepetition() async throws {
        try await StoreFixture.with { fixture in
            let replica = Self.replica(fixture)
            let claim = try #require(Self.first(try await replica.begin(Self.request())))
            await #expect(throws: ExecboxError.self) {
                try await replica.hold(claim) {
                    try await replica.record(claim, resource: "made")
                    throw ExecboxError.unavailable("something else")
                }
            }
            #expect(Self.resource(try await replica.begin(Self.request())) == "made")
        }
    }

    @Test func aSecondRequestWaitsForTheFirst() async throws {
        try await StoreFixture.with { fixture in
            let replica = Self.replica(fixture)
            let claim = try #require(Self.first(try await replica.begin(Self.request())))
            try await withThrowingTaskGroup(of: String?.self) { group in
                for _ in 0..<10 { group.addTask { Self.resource(try await replica.begin(Self.request())) } }
                try await Task.sleep(for: .milliseconds(100))
                try await replica.record(claim, resource: "made")
                for try await resource in group { #expect(resource == "made") }
            }
        }
    }

    @Test func aDeadProcesssRequestIsTakenOverAtOnceAndCannotBeRecordedByIt() async throws {
        try await StoreFixture.with { fixture in
            // No process has this start time.
            let dead = Claimant(node: fixture.claimant.node, pid: fixture.claimant.pid, startTime: 1, token: "dead")
            let predecessor = Self.replica(fixture, dead)
            let stale = try #require(Self.first(try await predecessor.begin(Self.request())))
            let successor = Self.replica(fixture)
            let claim = try #require(Self.first(try await successor.begin(Self.request())))
            await #expect {
                try await predecessor.record(stale, resource: "twice")
            } throws: {
                ($0 as? ExecboxError)?.code == .conflict
            }
            try await successor.record(claim, resource: "once")
            #expect(Self.resource(try await predecessor.begin(Self.request())) == "once")
        }
    }

    @Test func aClaimThatNobodyRenewsIsTakenOver() async throws {
        try await StoreFixture.with { fixture in
            let far = Self.replica(fixture, Claimant(node: "far", pid: 1, startTime: 1, token: "t"))
            _ = try await far.begin(Self.request())
            _ = try await fixture.pool.execute("UPDATE idempotency_records SET claimed_until = now() - interval '1 s'")
            #expect(Self.first(try await Self.replica(fixture).begin(Self.request())) != nil)
            // Nothing was recorded: the key may stand for a corrected request, too.
            _ = try await fixture.pool.execute("UPDATE idempotency_records SET claimed_until = now() - interval '1 s'")
            #expect(Self.first(try await Self.replica(fixture).begin(Self.request(body: "corrected"))) != nil)
        }
    }

    @Test func afterADayAKeyIsNew() async throws {
        try await StoreFixture.with { fixture in
            let replica = Self.replica(fixture)
            let claim = try #require(Self.first(try await replica.begin(Self.request())))
            try await replica.record(claim, resource: "made")
            _ = try await fixture.pool.execute("UPDATE idempotency_records SET created_at = now() - interval '24 hours 1 s'")
            #expect(Self.first(try await replica.begin(Self.request(body: "other"))) != nil)
            _ = try await fixture.pool.execute("UPDATE idempotency_records SET created_at = now() - interval '24 hours 1 s'")
            try await IdempotencyStore(database: fixture.pool).sweep()
            #expect(try await fixture.pool.query("SELECT 1 FROM idempotency_records").isEmpty)
        }
    }

    @Test(arguments: ["", String(repeating: "k", count: 256), "a b", "ä", "a\u{7F}"])
    func aKeyHasOneTo255VisibleASCIICharacters(key: String) {
        #expect(throws: ExecboxError.self) { try Self.request(key) }
    }

    @Test func anExecsIDIsTheSameForEveryRepetitionAndAnotherForEveryKey() throws {
        #expect(try Self.request().execID == Self.request().execID)
        #expect(try Self.request().execID != Self.request(body: "x").execID)
        #expect(try Self.request().execID != Self.request("k2").execID)
        #expect(try Self.request().execID != Self.request(scope: "other").execID)
        #expect(try Self.request().execID.count == 37)
    }
}
