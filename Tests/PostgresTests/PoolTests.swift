import ExecboxTestSupport
import Synchronization
import Testing

@testable import ExecboxPostgres

@Suite("A pool", .timeLimit(.minutes(2))) struct PoolTests {
    private func settings(maximum: Int) -> PostgresPool.Configuration {
        var settings = PostgresPool.Configuration()
        settings.maximumConnections = maximum
        settings.leaseTimeout = .seconds(60)
        return settings
    }

    @Test("answers many tasks at once, each its own question")
    func manyCallers() async throws {
        try await TestDatabase.with { database in
            try await database.withPool(self.settings(maximum: 4)) { pool in
                try await withThrowingTaskGroup(of: (Int, Int).self) { group in
                    for number in 0..<500 {
                        group.addTask { (number, try await pool.queryOne("SELECT \(number)").decode(Int.self, at: 0)) }
                    }
                    for try await (asked, answered) in group { #expect(asked == answered) }
                }
                #expect(pool.statistics.leased == 0)
                #expect(pool.statistics.idle <= 4)
            }
        }
    }

    @Test("keeps its connections, and their answers apart, while tasks are cancelled at random")
    func randomCancels() async throws {
        try await TestDatabase.with { database in
            try await database.withPool(self.settings(maximum: 4)) { pool in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<600 {
                        group.addTask {
                            let task = Task {
                                try await pool.queryOne("SELECT \(number), pg_sleep(\(Double.random(in: 0...0.003)))").decode(
                                    Int.self, at: 0)
                            }
                            if Bool.random() {
                                for _ in 0..<Int.random(in: 0..<50) { await Task.yield() }
                                task.cancel()
                            }
                            do {
                                let answer = try await task.value
                                #expect(answer == number)
                            } catch let error as PostgresError {
                                #expect(error.code == .cancelled, "\(error.debugDescription)")
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                let statistics = pool.statistics
                #expect(statistics.leased == 0)
                #expect(statistics.waiting == 0)
                let sum = try await pool.queryOne("SELECT \(1) + \(2)").decode(Int.self, at: 0)
                #expect(sum == 3)
            }
        }
    }

    @Test("refuses a lease that waited for too long")
    func leaseTimeout() async throws {
        var settings = self.settings(maximum: 1)
        settings.leaseTimeout = .milliseconds(20)
        try await TestDatabase.with { [settings] database in
            try await database.withPool(settings) { pool in
                // The first connection may take longer than that.
                try await until { pool.statistics.idle == 1 }
                try await pool.withConnection { _ in
                    #expect(await code { try await pool.query("SELECT 1") } == .exhausted)
                }
                let rows = try await pool.query("SELECT 1")
                #expect(rows.count == 1)
            }
        }
    }

    @Test("gives nothing to a task that was cancelled before it asked")
    func cancelledBefore() async throws {
        try await TestDatabase.with { database in
            try await database.withPool { pool in
                let task = Task {
                    withUnsafeCurrentTask { $0?.cancel() }
                    return await code { try await pool.withConnection { _ in Issue.record("was called") } }
                }
                #expect(await task.value == .cancelled)
            }
        }
    }

    @Test("lets a waiting task go when it is cancelled")
    func cancelledWhileWaiting() async throws {
        try await TestDatabase.with { database in
            try await database.withPool(self.settings(maximum: 1)) { pool in
                try await pool.withConnection { _ in
                    let task = Task { await code { try await pool.query("SELECT 1") } }
                    try await until { pool.statistics.waiting == 1 }
                    task.cancel()
                    #expect(await task.value == .cancelled)
                    #expect(pool.statistics.waiting == 0)
                }
                let rows = try await pool.query("SELECT 1")
                #expect(rows.count == 1)
            }
        }
    }

    @Test("takes a connection back from a task that was cancelled after it got one")
    func cancelledAfterwards() async throws {
        try await TestDatabase.with { database in
            try await database.withPool(self.settings(maximum: 1)) { pool in
                let task = Task {
                    try await pool.withConnection { connection in
                        withUnsafeCurrentTask { $0?.cancel() }
                        return await code { try await connection.query("SELECT 1") }
                    }
                }
                let outcome = try await task.value
                #expect(outcome == .cancelled)
                let rows = try await pool.query("SELECT 1")
                #expect(rows.count == 1)
            }
        }
    }

    @Test("survives cancellations at the very moment of the grant")
    func cancelledInTheMiddle() async throws {
        try await TestDatabase.with { database in
            try await database.withPool(self.settings(maximum: 1)) { pool in
                for _ in 0..<1_000 {
                    let holder = Task { try await pool.withConnection { _ in await Task.yield() } }
                    let waiter = Task { await code { try await pool.withConnection { _ in } } }
                    await Task.yield()
                    waiter.cancel()
                    try await holder.value
                    let outcome = await waiter.value
                    #expect(outcome == nil || outcome == .cancelled)
                }
                #expect(pool.statistics.leased == 0)
                #expect(pool.statistics.waiting == 0)
            }
        }
    }

    @Test("rolls back what a closure left open before the next one gets the connection")
    func hygiene() async throws {
        try await TestDatabase.with { database in
            try await database.withPool(self.settings(maximum: 1)) { pool in
                try await pool.execute("CREATE TABLE t (n int)")
                try await pool.withConnection { try await $0.runScript("BEGIN; INSERT INTO t VALUES (1)") }
                _ = await code { try await pool.withConnection { try await $0.runScript("BEGIN; SELECT 1/0") } }
                let rows = try await pool.query("SELECT n FROM t")
                #expect(rows.isEmpty)
            }
        }
    }

    @Test("replaces a connection that died while it was idle, before anybody notices")
    func deadIdleConnection() async throws {
        try await TestDatabase.with { database in
            try await database.withPool(self.settings(maximum: 1)) { pool in
                let processID = try await pool.processID()
                try await database.withConnection { try await $0.terminate(processID) }
                let next = try await pool.processID()
                #expect(next != processID)
            }
        }
    }

    @Test("replaces a connection that died in use, and lets its caller know")
    func deadBusyConnection() async throws {
        try await TestDatabase.with { database in
            try await database.withPool(self.settings(maximum: 1)) { pool in
                #expect(await code { try await pool.query("SELECT pg_terminate_backend(pg_backend_pid())") } == .connectionLost)
                let rows = try await pool.query("SELECT 1")
                #expect(rows.count == 1)
            }
        }
    }

    @Test("tries a connection that rested for long before it lends it")
    func validation() async throws {
        var settings = self.settings(maximum: 1)
        settings.validateAfter = .zero
        try await TestDatabase.with { [settings] database in
            try await database.withPool(settings) { pool in
                for number in 0..<10 {
                    let answer = try await pool.queryOne("SELECT \(number)").decode(Int.self, at: 0)
                    #expect(answer == number)
                }
            }
        }
    }

    @Test("refuses leases once it is shut down, and run() ends when all connections are back")
    func shutdown() async throws {
        try await TestDatabase.with { database in
            let pool = PostgresPool(database.configuration, logger: database.logger)
            let running = Task { try await pool.run() }
            try await pool.withConnection { connection in
                pool.shutdown()
                #expect(await code { try await pool.query("SELECT 1") } == .closed)
                let rows = try await connection.query("SELECT 1")
                #expect(rows.count == 1)
            }
            try await running.value
            #expect(await code { try await pool.run() } == .closed)
        }
    }

    @Test("ends when its task is cancelled")
    func cancelledRun() async throws {
        try await TestDatabase.with { database in
            let pool = PostgresPool(database.configuration, logger: database.logger)
            let running = Task { try await pool.run() }
            _ = try await pool.query("SELECT 1")
            running.cancel()
            try await running.value
            #expect(await code { try await pool.query("SELECT 1") } == .closed)
        }
    }

    @Test("fails at once while the server is away and serves again after it is back")
    func serverRestart() async throws {
        let name = "restart-\(TestDatabase.randomName())"
        let start: @Sendable () async throws -> PrivateCluster = {
            try await PrivateCluster.start(name, base: TestServer.clusterDirectory, durability: .throwAway, logger: TestServer.logger)
        }
        let cluster = try await start()
        try cluster.removeWhenThisProcessEnds()
        var settings = self.settings(maximum: 3)
        settings.tripAfter = .zero
        settings.backoff = Backoff(first: .milliseconds(10), longest: .milliseconds(100))
        try await PostgresPool.with(cluster.configuration, settings: settings, logger: TestServer.logger) { pool in
            try await pool.execute("CREATE TABLE t (n int)")
            try await cluster.stop()
            // The first lease finds its connection dead, waits for another, and learns that there is no server.
            #expect(await code { try await pool.query("SELECT 1") } == .unavailable)
            #expect(await code { try await pool.query("SELECT 1") } == .unavailable)
            #expect(!pool.statistics.isAvailable)

            _ = try await start()
            try await until { pool.statistics.isAvailable }
            let rows = try await pool.query("SELECT n FROM t")
            #expect(rows.isEmpty)
        }
        try await cluster.remove()
    }
}
