import ExecboxModel
import ExecboxPostgres
import ExecboxTestRandom
import ExecboxTestSupport
import ExecboxWire
import Synchronization
import Testing

@testable import ExecboxCore

/// Two replicas make, stop, kill, end and lose sessions in thousands of random orders, on a real database. Whatever happens: the quota is
/// never exceeded, every session is billed exactly once, and sessions, ledger, sums and export say the same.
@Suite struct BillingPropertyTests {
    private static let interleavings = 2000
    private static let stepsPerReplica = 7
    private static let quota = 3

    /// One server process: it drives what it has claimed, until it crashes.
    private struct Replica {
        var claimant: String
        var stores: SessionStore
        var driven: [Session] = []
    }

    private struct Context: Sendable {
        let fixture: StoreFixture
        let callers: [Caller]
        let account: AccountID
        let node: String
        /// Sessions that were made, by id.
        let made = Latest<[SessionID]>([])
        let mostOpen = Latest(0)
    }

    @Test func noOrderOfEventsExceedsAQuotaOrBillsASessionTwice() async throws {
        try await StoreFixture.with { fixture in
            let next = Latest(0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<6 {
                    group.addTask {
                        while true {
                            let number = next.withLock { value in
                                value += 1
                                return value
                            }
                            guard number <= Self.interleavings else { return }
                            try await Self.run(fixture, seed: UInt64(number))
                        }
                    }
                }
                try await group.waitForAll()
            }
            // Over all accounts together, as an operator would look.
            for check in try await DriftStore(database: fixture.pool).checks() where !check.name.hasPrefix("open sessions") {
                #expect(check.differences == 0, "\(check.name): \(check.examples)")
            }
        }
    }

    private static func run(_ fixture: StoreFixture, seed: UInt64) async throws {
        let context = try await makeAccount(fixture, seed)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for replica in 0..<2 {
                group.addTask { try await drive(context, replica: replica, seed: seed) }
            }
            try await group.waitForAll()
        }
        try await check(context, seed)
    }

    /// By rows, not by the services: two thousand keys need not be made with care.
    private static func makeAccount(_ fixture: StoreFixture, _ seed: UInt64) async throws -> Context {
        let account = AccountID.make(unixMilliseconds: seed)
        let keys = (0..<2).map { KeyID.make(unixMilliseconds: seed * 2 + $0) }
        _ = try await fixture.pool.execute(
            """
            INSERT INTO accounts (id, name, tier, concurrent_sessions) VALUES (\(account.description), 'property', 'enterprise', \(quota))
            """)
        for key in keys {
            _ = try await fixture.pool.execute(
                """
                INSERT INTO api_keys (id, account_id, public_id, secret_hash, name)
                VALUES (\(key.description), \(account.description), \(key.description), decode(repeat('00', 32), 'hex'), 'k')
                """)
        }
        let tier = Tier(name: "enterprise", requestsPerSecond: 500)
        let callers = keys.map { Caller(accountID: account, keyID: $0, publicID: "", scopes: [], tier: tier) }
        return Context(fixture: fixture, callers: callers, account: account, node: "node-\(seed)")
    }

    private static func drive(_ context: Context, replica: Int, seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed &* 31 &+ UInt64(replica))
        var process = Replica(claimant: "replica-\(replica)-0", stores: context.fixture.sessions)
        for step in 0..<stepsPerReplica {
            switch Int.random(in: 0..<10, using: &random) {
            case 0...3: try await create(context, &process, &random)
            case 4...5: try await finish(context, &process, &random)
            case 6: try await wish(context, .stopped, &random)
            case 7: try await wish(context, .killed, &random)
            case 8:
                // The process dies; its successor, or the other replica, finds what it left.
                process = Replica(claimant: "replica-\(replica)-\(step + 1)", stores: context.fixture.sessions)
            default: try await takeOver(context, &process, &random)
            }
        }
        // In the end everything is ended by somebody, some of it by both at once.
        for id in context.made.withLock({ $0 }) {
            guard let session = try await process.stores.claim(id, by: process.claimant, from: try await owner(context, id)) else {
                continue
            }
            process.driven.append(session)
        }
        while !process.driven.isEmpty { try await finish(context, &process, &random) }
    }

    private static func owner(_ context: Context, _ id: SessionID) async throws -> String? {
        try await context.fixture.pool.query("SELECT claimed_by FROM sessions WHERE id = \(id.description)").first?
            .decode(String?.self, "claimed_by")
    }

    private static func create(_ context: Context, _ replica: inout Replica, _ random: inout SeededGenerator) async throws {
        var session = context.fixture.newSession(
            labels: ["l": "\(Int.random(in: 0..<3, using: &random))"],
            resources: Resources(
                cpuMillis: 100 * Int.random(in: 1...20, using: &random), memoryMB: 32 * Int.random(in: 1...40, using: &random)))
        session.accountID = context.account
        session.node = context.node
        session.imageDigest = "sha256:00"
        session.stopSignal = "SIGTERM"
        session.status = .starting
        let caller = context.callers[Int.random(in: 0..<2, using: &random)]
        do {
            let new = session
            let made = try await replica.stores.insert(
                new, keyID: caller.keyID, sealedEnvironment: [], claimant: replica.claimant
            ) { try $0.check(new.resources) }
            // What is there, not what the admission believes.
            let open = try await context.fixture.pool.queryOne(
                "SELECT count(*)::int AS open FROM sessions WHERE account_id = \(context.account.description) AND ended_at IS NULL")
            let count = try open.decode(Int.self, "open")
            context.mostOpen.withLock { $0 = max($0, count) }
            context.made.withLock { $0.append(made.id) }
            // Most run, some never get that far.
            if Int.random(in: 0..<5, using: &random) > 0 {
                let elapsed = Int64.random(in: 0...5_000_000, using: &random)
                _ = try await replica.stores.setRunning(made.id, ports: [], elapsedMicroseconds: elapsed, claimant: replica.claimant)
            }
            replica.driven.append(made)
        } catch let error as ExecboxError where error.code == .quotaExceeded {
            // As it should be.
        }
    }

    private static func finish(_ context: Context, _ replica: inout Replica, _ random: inout SeededGenerator) async throws {
        guard let index = replica.driven.indices.randomElement(using: &random) else { return }
        let session = replica.driven.remove(at: index)
        let reasons: [EndReason] = [.exited, .signaled, .stopped, .killed, .timeout, .oomKilled, .startFailed, .backendLost]
        let report = ExitReport(
            processID: "main", cause: .exited, exitCode: 0, elapsedMicroseconds: UInt64.random(in: 0...4_000_000, using: &random),
            cpuMicroseconds: UInt64.random(in: 0...4_000_000, using: &random))
        let end = SessionEnd(reason: reasons.randomElement(using: &random) ?? .exited, exitCode: 0, report: report)
        // Sometimes the same end is written twice.
        for _ in 0..<Int.random(in: 1...2, using: &random) {
            _ = try await replica.stores.finish(session.id, end: end, lowerBound: nil, claimant: replica.claimant)
        }
    }

    private static func wish(_ context: Context, _ intent: StopIntent, _ random: inout SeededGenerator) async throws {
        guard let id = context.made.withLock({ $0 }).randomElement(using: &random) else { return }
        _ = try await context.fixture.sessions.want(intent, error: nil, graceMs: 0, of: id)
    }

    private static func takeOver(_ context: Context, _ replica: inout Replica, _ random: inout SeededGenerator) async throws {
        guard let id = context.made.withLock({ $0 }).randomElement(using: &random) else { return }
        if let session = try await replica.stores.claim(id, by: replica.claimant, from: try await owner(context, id)) {
            replica.driven.append(session)
        }
    }

    private static func check(_ context: Context, _ seed: UInt64) async throws {
        let row = try await context.fixture.pool.queryOne(
            """
            SELECT count(*)::int AS sessions, count(*) FILTER (WHERE ended_at IS NULL)::int AS open,
                COALESCE(sum(s.cost_micros), 0)::bigint AS cost, (SELECT count(*)::int FROM ledger WHERE account_id = s.account_id) AS entries
            FROM sessions s WHERE account_id = \(context.account.description) GROUP BY account_id
            UNION ALL SELECT 0, 0, 0, 0 ORDER BY 1 DESC LIMIT 1
            """)
        let sessions = try row.decode(Int.self, "sessions")
        #expect(context.mostOpen.withLock { $0 } <= quota, "seed \(seed)")
        #expect(try row.decode(Int.self, "open") == 0, "seed \(seed)")
        #expect(try row.decode(Int.self, "entries") == sessions, "seed \(seed)")
        let cost = try row.decode(Int64.self, "cost")
        let usage = UsageStore(database: context.fixture.pool)
        var subjects: [(UsageSubject, Int64)] = [(.account, 0)]
        for caller in context.callers { subjects.append((.key(caller.keyID), 0)) }
        for value in 0..<3 { subjects.append((.label(name: "l", value: "\(value)"), 0)) }
        for index in subjects.indices {
            subjects[index].1 = try await usage.days(2, of: context.account, subjects[index].0).reduce(0) { $0 + $1.costMicros }
        }
        #expect(subjects[0].1 == cost && subjects[1].1 + subjects[2].1 == cost, "seed \(seed)")
        #expect(subjects[3...].reduce(0) { $0 + $1.1 } == cost, "seed \(seed)")
        let unbooked = try await usage.unbooked(of: context.account, .account)
        var exported: [SessionCharge] = []
        for try await page in ChargePages(store: usage, account: context.account, subject: .account, days: 2, unbooked: unbooked) {
            exported += page
        }
        #expect(exported.count == sessions && exported.reduce(0) { $0 + $1.costMicros } == cost, "seed \(seed)")
        for charge in exported {
            let session = try await context.fixture.sessions.session(charge.sessionID)
            #expect(session?.usage?.costMicros == charge.costMicros, "seed \(seed)")
        }
    }
}
