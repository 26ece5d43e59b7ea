import ExecboxModel
import ExecboxPostgres
import Testing

@testable import ExecboxCore

/// Many readers of few rows, on a real database.
@Suite struct SessionReaderTests {
    @Test func everyReaderGetsItsOwnSession() async throws {
        try await StoreFixture.with { fixture in
            let reader = SessionReader(store: fixture.sessions)
            var ids: [SessionID] = []
            for _ in 0..<10 { ids.append(try await fixture.insert().id) }
            let stranger = SessionID.make(unixMilliseconds: 1)
            let all = ids
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<400 {
                    group.addTask {
                        let id = number % 11 == 10 ? stranger : all[number % 11]
                        let found = try await reader.session(id)
                        #expect(found?.session.id == (id == stranger ? nil : id))
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func aChangeThatWasMadeBeforeIsSeen() async throws {
        try await StoreFixture.with { fixture in
            let reader = SessionReader(store: fixture.sessions)
            let session = try await fixture.insertRunning()
            // Others read all the time.
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask { while !Task.isCancelled { _ = try? await reader.session(session.id) } }
                }
                var last: Int64 = 0
                for number in 0..<100 {
                    _ = try await fixture.sessions.patch(session.id, labels: ["n": "\(number)"], timeoutMs: nil, maximumMs: nil)
                    let found = try #require(try await reader.session(session.id))
                    #expect(found.session.labels == ["n": "\(number)"] && found.version != last)
                    last = found.version
                }
                group.cancelAll()
            }
            let unchanged = try await reader.session(session.id)
            #expect(try await reader.session(session.id)?.version == unchanged?.version)
        }
    }

    @Test func aReaderThatGoesAwayHoldsNobodyUp() async throws {
        try await StoreFixture.with { fixture in
            let reader = SessionReader(store: fixture.sessions)
            let session = try await fixture.insert()
            for _ in 0..<50 {
                await withTaskGroup(of: Bool?.self) { group in
                    for _ in 0..<4 {
                        group.addTask {
                            await withTaskGroup(of: Void.self) { inner in
                                inner.addTask { _ = try? await reader.session(session.id) }
                                inner.cancelAll()
                            }
                            return nil
                        }
                    }
                    for _ in 0..<4 { group.addTask { (try? await reader.session(session.id)) != nil } }
                    for await outcome in group where outcome != nil { #expect(outcome == true) }
                }
            }
        }
    }

    @Test func aFailureIsToldToAllAndIsOverWithItsCause() async throws {
        try await StoreFixture.with { fixture in
            let reader = SessionReader(store: fixture.sessions)
            let session = try await fixture.insert()
            _ = try await fixture.pool.execute("ALTER TABLE sessions RENAME TO away")
            let failures = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<20 { group.addTask { (try? await reader.session(session.id)) == nil } }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(failures == 20)
            _ = try await fixture.pool.execute("ALTER TABLE away RENAME TO sessions")
            #expect(try await reader.session(session.id)?.session.id == session.id)
        }
    }
}
