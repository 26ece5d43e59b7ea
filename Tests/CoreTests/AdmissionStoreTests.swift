import ExecboxModel
import ExecboxPostgres
import Testing

@testable import ExecboxCore

/// What is counted, and that nobody takes a place twice, on a real database.
@Suite struct AdmissionStoreTests {
    private static func insert(_ fixture: StoreFixture, by caller: Caller) async throws -> Session {
        var session = fixture.newSession()
        session.accountID = caller.accountID
        let new = session
        return try await fixture.sessions.insert(
            new, keyID: caller.keyID, sealedEnvironment: [1], claimant: fixture.claimant.description
        ) { try $0.check(new.resources) }
    }

    @Test func ofManyAtOnceExactlyAsManyAreMadeAsTheLimitAllows() async throws {
        try await StoreFixture.with { fixture in
            let (keys, _) = fixture.keys()
            var callers: [Caller] = []
            for number in 0..<4 { callers.append(Caller(try await keys.make("key \(number)", account: "small", tier: "free").key)) }
            let outcomes = await withTaskGroup(of: ExecboxError?.self) { group in
                for number in 0..<40 {
                    group.addTask { [caller = callers[number % 4]] in
                        do {
                            _ = try await Self.insert(fixture, by: caller)
                            return nil
                        } catch {
                            return error as? ExecboxError ?? ExecboxError(.internal, "\(error)")
                        }
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            // Five at once is what the tier gives, over any number of keys.
            #expect(outcomes.filter { $0 == nil }.count == 5)
            #expect(outcomes.compactMap { $0 }.allSatisfy { $0.code == .quotaExceeded && $0.details["owner"] == .text("tier") })
        }
    }

    @Test func anEndedSessionGivesItsPlaceBackAndAFailedOneItsDay() async throws {
        try await StoreFixture.with { fixture in
            let caller = Caller(try await fixture.keys().0.make("key", account: "small", tier: "free").key)
            var made: [Session] = []
            for _ in 0..<5 { made.append(try await Self.insert(fixture, by: caller)) }
            await #expect(throws: ExecboxError.self) { try await Self.insert(fixture, by: caller) }
            func end(_ session: Session, _ status: String, _ reason: String) async throws {
                _ = try await fixture.pool.execute(
                    "UPDATE sessions SET status = \(status), reason = \(reason), ended_at = now() WHERE id = \(session.id.description)")
            }
            for session in made { try await end(session, "stopped", "exited") }
            for _ in 0..<5 { try await end(try await Self.insert(fixture, by: caller), "failed", "image_error") }
            for _ in 0..<5 { try await end(try await Self.insert(fixture, by: caller), "killed", "killed") }
            // Ten of this day have not failed.
            await #expect {
                try await Self.insert(fixture, by: caller)
            } throws: {
                ($0 as? ExecboxError)?.details["limit"] == .text("sessions_per_day")
            }
        }
    }

    @Test(arguments: ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
    func theDayBeginsWhereTheAccountIs(timezone: String) async throws {
        try await StoreFixture.with { fixture in
            let caller = Caller(try await fixture.keys().0.make("key", account: "small", tier: "free").key)
            _ = try await fixture.pool.execute(
                "UPDATE accounts SET timezone = \(timezone), sessions_per_day = 1 WHERE id = \(caller.accountID.description)")
            let session = try await Self.insert(fixture, by: caller)
            await #expect(throws: ExecboxError.self) { try await Self.insert(fixture, by: caller) }
            // A second before the day began there.
            _ = try await fixture.pool.execute(
                """
                UPDATE sessions SET created_at = (date_trunc('day', now() AT TIME ZONE \(timezone)) AT TIME ZONE \(timezone))
                    - interval '1 second' WHERE id = \(session.id.description)
                """
            )
            _ = try await Self.insert(fixture, by: caller)
        }
    }

    @Test func aHostsRoomIsSharedByAllAccounts() async throws {
        try await StoreFixture.with { fixture in
            let (keys, _) = fixture.keys()
            let admissions = AdmissionStore(database: fixture.pool)
            // 1280 MB are two sessions of 512 MB and a half.
            try await admissions.setCapacity(.init(sessions: 100, memoryMB: 1280, cpuMillis: 100_000), of: "node-1")
            var callers: [Caller] = []
            for number in 0..<6 { callers.append(Caller(try await keys.make("key", account: "account \(number)").key)) }
            let codes = await withTaskGroup(of: ExecboxError.Code?.self) { group in
                for caller in callers {
                    group.addTask {
                        do {
                            _ = try await Self.insert(fixture, by: caller)
                            return nil
                        } catch {
                            return (error as? ExecboxError)?.code ?? .internal
                        }
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(codes.filter { $0 == nil }.count == 2)
            #expect(codes.compactMap { $0 } == Array(repeating: .unavailable, count: 4))
            try await admissions.setCapacity(.init(sessions: 100, memoryMB: 2000, cpuMillis: 100_000), of: "node-1")
            _ = try await Self.insert(fixture, by: callers[0])
        }
    }

    @Test func whatIsRefusedLeavesNothing() async throws {
        try await StoreFixture.with { fixture in
            try await AdmissionStore(database: fixture.pool).setCapacity(.init(sessions: 1, memoryMB: 100, cpuMillis: 100), of: "node-1")
            await #expect(throws: ExecboxError.self) { try await Self.insert(fixture, by: fixture.caller) }
            for table in ["sessions", "sandboxes", "recordings"] {
                #expect(try await fixture.pool.queryOne("SELECT count(*)::int AS count FROM \(raw: table)").decode(Int.self, "count") == 0)
            }
        }
    }
}
