import ExecboxPostgres
import ExecboxTestSupport
import Synchronization
import Testing

@Suite("A transaction", .timeLimit(.minutes(2))) struct TransactionTests {
    private struct Failure: Error {}

    /// A pool with a table `t (id int primary key, n int)` that holds (1, 0) and (2, 0).
    private func withTable(_ body: @Sendable (PostgresPool) async throws -> Void) async throws {
        try await TestDatabase.with { database in
            try await database.withPool { pool in
                try await pool.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
                try await pool.execute("INSERT INTO t VALUES (1, 0), (2, 0)")
                try await body(pool)
            }
        }
    }

    private func sum(_ pool: some PostgresQuerying) async throws -> Int {
        try await pool.queryOne("SELECT sum(n) AS s FROM t").decode(Int.self, "s")
    }

    @Test("commits what its closure did and returns its value")
    func commit() async throws {
        try await self.withTable { pool in
            let count = try await pool.withTransaction { transaction in
                try await transaction.execute("UPDATE t SET n = \(5)")
            }
            #expect(count == 2)
            let sum = try await self.sum(pool)
            #expect(sum == 10)
        }
    }

    @Test("rolls back when its closure throws")
    func rollbackOnThrow() async throws {
        try await self.withTable { pool in
            await #expect(throws: Failure.self) {
                try await pool.withTransaction { transaction in
                    try await transaction.execute("UPDATE t SET n = 5")
                    throw Failure()
                }
            }
            let sum = try await self.sum(pool)
            #expect(sum == 0)
            #expect(pool.statistics.leased == 0)
        }
    }

    @Test("rolls back when its task is cancelled between two statements")
    func rollbackOnCancel() async throws {
        try await self.withTable { pool in
            let task = Task {
                await code {
                    try await pool.withTransaction { transaction in
                        try await transaction.execute("UPDATE t SET n = 5")
                        withUnsafeCurrentTask { $0?.cancel() }
                    }
                }
            }
            #expect(await task.value == .cancelled)
            let sum = try await self.sum(pool)
            #expect(sum == 0)
        }
    }

    @Test("rolls back when its task is cancelled in a statement")
    func rollbackOnCancelledStatement() async throws {
        try await self.withTable { pool in
            let task = Task {
                await code {
                    try await pool.withTransaction { transaction in
                        try await transaction.execute("UPDATE t SET n = 5")
                        try await transaction.execute("SELECT pg_sleep(600), 'cancel me'")
                    }
                }
            }
            try await pool.untilRunning("cancel me")
            task.cancel()
            #expect(await task.value == .cancelled)
            let sum = try await self.sum(pool)
            #expect(sum == 0)
        }
    }

    @Test("does not pass for committed when its closure swallowed the error that aborted it")
    func swallowedError() async throws {
        try await self.withTable { pool in
            let outcome = await code {
                try await pool.withTransaction { transaction in
                    try await transaction.execute("UPDATE t SET n = 5")
                    _ = try? await transaction.execute("SELECT 1/0")
                }
            }
            #expect(outcome == .server(SQLState(rawValue: "25P02")))
            let sum = try await self.sum(pool)
            #expect(sum == 0)
        }
    }

    @Test("reports a constraint that is checked at the end")
    func deferredConstraint() async throws {
        try await self.withTable { pool in
            try await pool.execute("CREATE TABLE u (n int CONSTRAINT single UNIQUE DEFERRABLE INITIALLY DEFERRED)")
            let outcome = await code {
                try await pool.withTransaction { transaction in
                    try await transaction.execute("INSERT INTO u VALUES (1)")
                    try await transaction.execute("INSERT INTO u VALUES (1)")
                }
            }
            #expect(outcome == .server(.uniqueViolation))
            let rows = try await pool.query("SELECT n FROM u")
            #expect(rows.isEmpty)
        }
    }

    @Test("runs again after it lost a race, if it may")
    func retry() async throws {
        try await self.withTable { pool in
            let attempts = Mutex(0)
            try await pool.withTransaction(level: .repeatableRead, retry: .idempotent()) { transaction in
                let attempt = attempts.withLock { attempts in
                    attempts += 1
                    return attempts
                }
                let n = try await transaction.queryOne("SELECT n FROM t WHERE id = 1").decode(Int.self, "n")
                // Somebody else is faster, once.
                if attempt == 1 { try await pool.execute("UPDATE t SET n = n + 10 WHERE id = 1") }
                try await transaction.execute("UPDATE t SET n = \(n + 1) WHERE id = 1")
            }
            #expect(attempts.withLock { $0 } == 2)
            let sum = try await self.sum(pool)
            #expect(sum == 11)
        }
    }

    @Test("runs once only, if it was not said that it may run again")
    func noRetry() async throws {
        try await self.withTable { pool in
            let outcome = await code {
                try await pool.withTransaction(level: .serializable) { transaction in
                    _ = try await transaction.query("SELECT n FROM t WHERE id = 1")
                    try await pool.execute("UPDATE t SET n = n + 10 WHERE id = 1")
                    try await transaction.execute("UPDATE t SET n = 1 WHERE id = 1")
                }
            }
            #expect(outcome == .server(.serializationFailure))
        }
    }

    @Test("gives up after the number of attempts it was given")
    func attemptsAreCounted() async throws {
        try await self.withTable { pool in
            let attempts = Mutex(0)
            let outcome = await code {
                try await pool.withTransaction(level: .repeatableRead, retry: .idempotent(attempts: 3)) { transaction in
                    attempts.withLock { $0 += 1 }
                    _ = try await transaction.query("SELECT n FROM t WHERE id = 1")
                    try await pool.execute("UPDATE t SET n = n + 10 WHERE id = 1")
                    try await transaction.execute("UPDATE t SET n = 1 WHERE id = 1")
                }
            }
            #expect(outcome == .server(.serializationFailure))
            #expect(attempts.withLock { $0 } == 3)
        }
    }

    @Test("that may only read cannot write")
    func readOnly() async throws {
        try await self.withTable { pool in
            let outcome = await code {
                try await pool.withTransaction(readOnly: true) { try await $0.execute("UPDATE t SET n = 1") }
            }
            #expect(outcome == .server(SQLState(rawValue: "25006")))
        }
    }

    @Test("is lost with its connection, and the next one gets another")
    func lostConnection() async throws {
        try await self.withTable { pool in
            let outcome = await code {
                try await pool.withTransaction { transaction in
                    try await transaction.execute("UPDATE t SET n = 5")
                    try await transaction.execute("SELECT pg_terminate_backend(pg_backend_pid())")
                }
            }
            #expect(outcome == .connectionLost)
            let sum = try await self.sum(pool)
            #expect(sum == 0)
        }
    }
}
