import ExecboxModel
import ExecboxPostgres
import ExecboxTestSupport
import Testing

@testable import ExecboxCore

/// What is booked, and that every report says the same, on a real database.
@Suite struct UsageStoreTests {
    private static func store(_ fixture: StoreFixture) -> UsageStore { UsageStore(database: fixture.pool) }

    private static func charges(_ fixture: StoreFixture, _ subject: UsageSubject = .account) async throws -> [SessionCharge] {
        let store = store(fixture)
        let unbooked = try await store.unbooked(of: fixture.caller.accountID, subject)
        let pages = ChargePages(store: store, account: fixture.caller.accountID, subject: subject, days: 365, unbooked: unbooked)
        var charges: [SessionCharge] = []
        for try await page in pages { charges += page }
        return charges
    }

    // MARK: Cost

    @Test(
        arguments: [
            // 1 CPU and 1 GiB for 10 s: 1000 + 10 × 50 + 10 × 10.
            (1000, 1024, 10_000, 1600),
            // Fractions are dropped once, at the end: 25 × 0.999 + 5 × 0.999 = 29.97.
            (500, 512, 999, 1029),
            (8000, 8192, -5, 1000),
            // A hundred years.
            (8000, 8192, 3_155_760_000_000, 1_514_764_801_000),
        ] as [(Int64, Int64, Int64, Int64)])
    func aSessionCostsItsReservedResourcesTimesWallTime(cpu: Int64, memory: Int64, duration: Int64, cost: Int64) async throws {
        try await StoreFixture.with { fixture in
            let row = try await fixture.pool.queryOne(
                "SELECT session_cost_micros(prices, \(cpu), \(memory), \(duration)) AS cost FROM prices")
            #expect(try row.decode(Int64.self, "cost") == cost)
        }
    }

    @Test func whatDoesNotFitCostsTheMost() async throws {
        try await StoreFixture.with { fixture in
            let row = try await fixture.pool.queryOne(
                """
                SELECT session_cost_micros(ROW(1, now(), 1000000000, 1000000000, 1000000000, now())::prices, \(Int64.max), \(Int64.max),
                    \(Int64.max)) AS cost
                """)
            #expect(try row.decode(Int64.self, "cost") == Int64.max)
        }
    }

    @Test func thePriceIsTheOneInForceWhenTheSessionStarted() async throws {
        try await StoreFixture.with { fixture in
            let before = try await fixture.insertRunning(seconds: 100)
            _ = try await fixture.pool.execute(
                """
                INSERT INTO prices (valid_from, micros_per_session, micros_per_cpu_second, micros_per_gb_second)
                VALUES (now() - interval '50 s', 7, 0, 0), (now() + interval '1 h', 9, 9, 9)
                """)
            let after = try await fixture.insertRunning(seconds: 10)
            #expect(try await fixture.finish(before, elapsedMs: 0)?.usage?.costMicros == 1000)
            #expect(try await fixture.finish(after, elapsedMs: 5000)?.usage?.costMicros == 7)
        }
    }

    // MARK: Booking

    @Test func anEndIsBookedOnceForAccountKeyAndLabels() async throws {
        try await StoreFixture.with { fixture in
            let resources = Resources(cpuMillis: 2000, memoryMB: 2048)
            let session = try await fixture.insertRunning(labels: ["team": "a=b", "x": ""], resources: resources, seconds: 10)
            let ended = try #require(try await fixture.finish(session, elapsedMs: 4000))
            #expect(try await fixture.finish(session, elapsedMs: 4000) == nil)
            // 1000 + 4 × (100 + 20)
            #expect(ended.usage?.costMicros == 1480)
            let failed = try await fixture.insertRunning(labels: ["team": "other"], seconds: 10)
            #expect(try await fixture.finish(failed, .backendLost, elapsedMs: 4000)?.usage?.costMicros == 0)
            let store = Self.store(fixture)
            let account = fixture.caller.accountID
            for (subject, executions, errors) in [
                (.account, 2, 1), (.key(fixture.caller.keyID), 2, 1), (.label(name: "team", value: "a=b"), 1, 0),
                (.label(name: "x", value: ""), 1, 0),
            ] as [(UsageSubject, Int64, Int64)] {
                for sum in [try await store.days(1, of: account, subject)[0], try await store.hours(of: account, subject)[0]] {
                    #expect(sum.executions == executions && sum.errors == errors && sum.costMicros == 1480, "\(subject)")
                    #expect(sum.cpuMs == 7 * executions)
                }
            }
            for subject in [.label(name: "team", value: "b"), .key(KeyID.make(unixMilliseconds: 1))] as [UsageSubject] {
                let none = try await store.days(3, of: account, subject)
                #expect(none.count == 3 && none.allSatisfy { $0.executions == 0 && $0.costMicros == 0 })
            }
            #expect(try await Self.charges(fixture).map(\.costMicros).sorted() == [0, 1480])
            #expect(try await Self.charges(fixture, .label(name: "team", value: "a=b")).map(\.sessionID) == [session.id])
        }
    }

    @Test func daysBeginInTheAccountsTimeZone() async throws {
        try await StoreFixture.with { fixture in
            let session = try await fixture.insertRunning()
            // UTC+14 and UTC-11 never have the same date for a day.
            _ = try await fixture.pool.execute("UPDATE accounts SET timezone = 'Pacific/Kiritimati'")
            try await fixture.finish(session, elapsedMs: 0)
            let east = try await Self.store(fixture).days(1, of: fixture.caller.accountID, .account)[0]
            #expect(east.executions == 1)
            let expected = try await fixture.pool.queryOne("SELECT to_char(now() AT TIME ZONE 'Pacific/Kiritimati', 'YYYY-MM-DD') AS day")
            #expect(try expected.decode(String.self, "day") == east.period)
        }
    }

    @Test func manyEndsAtOnceWithCommonLabelsAreAllCounted() async throws {
        try await StoreFixture.with { fixture in
            var sessions: [Session] = []
            for number in 0..<60 {
                let labels = Dictionary(uniqueKeysWithValues: (0...number % 7).map { ("l\(($0 + number) % 8)", "\($0 % 2)") })
                sessions.append(try await fixture.insertRunning(labels: labels, seconds: 100))
            }
            let all = sessions
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (number, session) in all.enumerated() {
                    group.addTask { try await fixture.finish(session, elapsedMs: UInt64(number) * 1001) }
                }
                try await group.waitForAll()
            }
            let charges = try await Self.charges(fixture)
            #expect(charges.count == 60)
            let store = Self.store(fixture)
            let account = fixture.caller.accountID
            #expect(try await store.days(1, of: account, .account)[0].costMicros == charges.reduce(0) { $0 + $1.costMicros })
            for name in 0..<8 {
                for value in 0..<2 {
                    let wanted = charges.filter { $0.labels["l\(name)"] == "\(value)" }
                    let sum = try await store.days(1, of: account, .label(name: "l\(name)", value: "\(value)"))[0]
                    #expect(sum.executions == Int64(wanted.count) && sum.costMicros == wanted.reduce(0) { $0 + $1.costMicros })
                }
            }
        }
    }

    // MARK: Reports

    @Test func runningSessionsCountUpToNowInEveryReport() async throws {
        try await StoreFixture.with { fixture in
            let running = try await fixture.insertRunning(resources: Resources(cpuMillis: 1000, memoryMB: 1024), seconds: 100)
            _ = try await fixture.insert()
            let store = Self.store(fixture)
            let account = fixture.caller.accountID
            let now = try await store.now(of: account)
            #expect(now.sessionsToday == 2 && now.activeSessions == 2)
            let day = try await store.days(2, of: account, .account)
            let hours = try await store.hours(of: account, .key(fixture.caller.keyID))
            #expect(hours.count == 24 && hours.dropFirst().allSatisfy { $0.executions == 0 })
            let charge = try #require(try await Self.charges(fixture).first)
            #expect(charge.sessionID == running.id && charge.endedAt == nil)
            // 1000 + 100 × 60, and a little more for the time the test takes.
            for cost in [now.monthCostMicros, day[0].costMicros, hours[0].costMicros, charge.costMicros] {
                #expect((7000..<13_000).contains(cost))
            }
            #expect(day[0].executions == 1 && day[1].executions == 0)
        }
    }

    @Test func anExportHasEverySessionOnceAlsoThoseThatEndMeanwhile() async throws {
        try await StoreFixture.with { fixture in
            let early = try await fixture.insertRunning(seconds: 10)
            let late = try await fixture.insertRunning(seconds: 10)
            // More than two pages.
            _ = try await fixture.pool.execute(
                """
                WITH boxes AS (INSERT INTO sandboxes (id, backend, node)
                        SELECT 'sb_many' || n, 'docker', 'node-1' FROM generate_series(1, 1200) n),
                    made AS (INSERT INTO sessions (id, account_id, key_id, sandbox_id, backend, node, status, reason, image, pull, command,
                            env_names, work_dir, user_name, labels, cpu_millis, memory_mb, disk_mb, pids, network, opens_stdin, ended_at,
                            duration_ms, cpu_ms, cost_micros)
                        SELECT 'sess_' || lpad(n::text, 26, '0'), \(fixture.caller.accountID.description),
                            \(fixture.caller.keyID.description), 'sb_many' || n, 'docker', 'node-1', 'stopped', 'exited', 'i', 'missing', '{}', '{}', '/', '', '{}', 1, 32, 1, 1,
                            'none', false, now(), 1, 1, n
                        FROM generate_series(1, 1200) n RETURNING id, account_id, key_id, cost_micros)
                INSERT INTO ledger (session_id, account_id, key_id, price_id, day, cost_micros)
                SELECT id, account_id, key_id, 1, (now() AT TIME ZONE 'UTC')::date - (cost_micros % 3)::int, cost_micros FROM made
                """)
            let store = Self.store(fixture)
            let unbooked = try await store.unbooked(of: fixture.caller.accountID, .account)
            let pages = ChargePages(store: store, account: fixture.caller.accountID, subject: .account, days: 3, unbooked: unbooked)
            try await fixture.finish(early, elapsedMs: 1)
            var seen: [SessionID] = []
            var sum: Int64 = 0
            for try await page in pages {
                if seen.isEmpty { try await fixture.finish(late, elapsedMs: 1) }
                #expect(page.count <= 502)
                seen += page.map(\.sessionID)
                sum += page.filter { $0.sessionID != early.id && $0.sessionID != late.id }.reduce(0) { $0 + $1.costMicros }
            }
            #expect(seen.count == 1202 && Set(seen).count == 1202)
            #expect(sum == 1200 * 1201 / 2)
            #expect(try await Self.charges(fixture).count == 1202)
        }
    }

    // MARK: Budgets

    @Test func theCostLimitIsCheckedBeforeASessionIsMade() async throws {
        try await StoreFixture.with { fixture in
            func create() async throws {
                let session = fixture.newSession()
                _ = try await fixture.sessions.insert(
                    session, keyID: fixture.caller.keyID, sealedEnvironment: [], claimant: fixture.claimant.description
                ) { try $0.check(session.resources) }
            }
            _ = try await fixture.pool.execute("UPDATE accounts SET monthly_cost_limit_micros = 1500")
            let first = try await fixture.insertRunning()
            try await create()
            // It runs, and costs more by the second.
            _ = try await fixture.pool.execute(
                "UPDATE sessions SET started_at = now() - interval '20 s' WHERE id = \(first.id.description)")
            await #expect {
                try await create()
            } throws: {
                guard let error = $0 as? ExecboxError else { return false }
                return error.code == .quotaExceeded && error.details["limit"] == .text("monthly_cost_limit_micros")
                    && error.details["value"] == .number(1500) && error.details["owner"] == .text("account") && (error.retryAfter ?? 0) > 0
            }
            _ = try await fixture.pool.execute("UPDATE accounts SET monthly_cost_limit_micros = 100000")
            try await create()
        }
    }

    @Test func sessionsOfAnAccountOverItsCostLimitAreToEnd() async throws {
        try await StoreFixture.with { fixture in
            let store = Self.store(fixture)
            let session = try await fixture.insertRunning(seconds: 10)
            #expect(try await store.budgetedAccounts(node: "node-1") == [])
            _ = try await fixture.pool.execute("UPDATE accounts SET monthly_cost_limit_micros = 10000000")
            #expect(try await store.budgetedAccounts(node: "node-1") == [fixture.caller.accountID])
            #expect(try await store.budgetedAccounts(node: "other") == [])
            #expect(try await store.checkBudget(of: fixture.caller.accountID) == nil)
            _ = try await fixture.pool.execute("UPDATE accounts SET monthly_cost_limit_micros = 1100")
            let due = try #require(try await store.checkBudget(of: fixture.caller.accountID))
            #expect(due.sessions == [session.id] && due.limitMicros == 1100)
            _ = try await fixture.sessions.want(.budgetExceeded, error: "x", graceMs: nil, of: session.id)
            #expect(try await store.checkBudget(of: fixture.caller.accountID) == nil)
        }
    }

    @Test func everyPartOfTheCostLimitIsNotedOnceAMonth() async throws {
        try await StoreFixture.with { fixture in
            func alerts() async throws -> [Int] {
                try await fixture.pool.query("SELECT percent FROM budget_alerts ORDER BY limit_micros, percent").map {
                    try $0.decode(Int.self, "percent")
                }
            }
            _ = try await fixture.pool.execute("UPDATE accounts SET monthly_cost_limit_micros = 10000, alert_threshold = 35")
            for (count, expected) in [(3, []), (4, [35]), (8, [35]), (9, [35, 90]), (10, [35, 90, 100]), (12, [35, 90, 100])] {
                while try await Self.charges(fixture).count < count {
                    try await fixture.finish(try await fixture.insertRunning(), elapsedMs: 0)
                }
                #expect(try await alerts() == expected, "after \(count) sessions")
            }
            // Another limit is another matter.
            _ = try await fixture.pool.execute("UPDATE accounts SET monthly_cost_limit_micros = 20000")
            try await fixture.finish(try await fixture.insertRunning(), elapsedMs: 0)
            #expect(try await alerts() == [35, 90, 100, 35])
        }
    }
}
