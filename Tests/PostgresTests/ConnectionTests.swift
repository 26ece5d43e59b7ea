import ExecboxTestSupport
import Glibc
import Testing

@testable import ExecboxPostgres

@Suite("A connection", .timeLimit(.minutes(2))) struct ConnectionTests {
    private func connected(_ body: @Sendable (PostgresConnection) async throws -> Void) async throws {
        try await TestDatabase.with { database in try await database.withConnection(body) }
    }

    @Test("answers a query with the parameters it was given")
    func answersAQuery() async throws {
        try await self.connected { connection in
            let row = try await connection.queryOne("SELECT \(41) + 1 AS n, \("x")::text AS s")
            #expect(try row.decode(Int.self, "n") == 42)
            #expect(try row.decode(String.self, "s") == "x")
        }
    }

    @Test("says how many rows a statement touched")
    func affectedRows() async throws {
        try await self.connected { connection in
            let created = try await connection.execute("CREATE TABLE t (n int)")
            #expect(created == 0)
            let inserted = try await connection.execute("INSERT INTO t SELECT generate_series(1, 7)")
            #expect(inserted == 7)
            let deleted = try await connection.execute("DELETE FROM t WHERE n > \(4)")
            #expect(deleted == 3)
            let selected = try await connection.run("SELECT n FROM t").affectedRows
            #expect(selected == 4)
        }
    }

    @Test("holds callers to the number of rows they announce")
    func rowCounts() async throws {
        try await self.connected { connection in
            #expect(await code { try await connection.queryOne("SELECT 1 WHERE false") } == .rowCount)
            #expect(await code { try await connection.queryFirst("SELECT generate_series(1, 2)") } == .rowCount)
            let none = try await connection.queryFirst("SELECT 1 WHERE false")
            #expect(none == nil)
        }
    }

    @Test("goes on after an error, whose state and constraint it tells")
    func errors() async throws {
        try await self.connected { connection in
            #expect(await code { try await connection.query("SELEC 1") } == .server(SQLState(rawValue: "42601")))
            #expect(await code { try await connection.query("SELECT 1 / \(0)") } == .server(SQLState(rawValue: "22012")))
            try await connection.execute("CREATE TABLE t (n int CONSTRAINT only_once UNIQUE)")
            try await connection.execute("INSERT INTO t VALUES (1)")
            let error = try #require(await failure { try await connection.execute("INSERT INTO t VALUES (\(1))") })
            #expect(error.isServer(.uniqueViolation))
            #expect(error.isServer(class: "23"))
            #expect(error.constraint == "only_once")
            #expect(!error.description.contains("only_once"))
            #expect(error.debugDescription.contains("INSERT INTO t VALUES ($1)"))
            #expect(try await connection.query("SELECT 1").count == 1)
        }
    }

    @Test("goes on after an error in the middle of a result")
    func lateError() async throws {
        try await self.connected { connection in
            let failing: SQL = "SELECT 100 / (50 - n) FROM generate_series(1, 100) n"
            #expect(await code { try await connection.query(failing) } == .server(SQLState(rawValue: "22012")))
            let answer = try await connection.query("SELECT generate_series(1, 1000)").count
            #expect(answer == 1000)
        }
    }

    @Test("keeps statements apart that begin with the same 63 bytes")
    func longStatements() async throws {
        try await self.connected { connection in
            let prefix = "SELECT /* \(String(repeating: "x", count: 80)) */ "
            for number in [1, 2, 1, 2] {
                let row = try await connection.queryOne("\(raw: prefix)\(raw: "\(number)")")
                #expect(try row.decode(Int.self, at: 0) == number)
            }
        }
    }

    @Test("keeps at most 256 statements prepared")
    func eviction() async throws {
        try await self.connected { connection in
            for number in 0..<300 { try await connection.execute("SELECT \(raw: "\(number)")") }
            let prepared = try await connection.queryOne("SELECT count(*) AS n FROM pg_prepared_statements").decode(Int.self, "n")
            // The one that counts is among them.
            #expect(prepared <= 257)
            #expect(try await connection.queryOne("SELECT 0").decode(Int.self, at: 0) == 0)
        }
    }

    @Test("prepares again when the server has forgotten a statement")
    func forgottenStatements() async throws {
        try await self.connected { connection in
            #expect(try await connection.query("SELECT \(1)").count == 1)
            try await connection.runScript("DEALLOCATE ALL")
            #expect(try await connection.query("SELECT \(1)").count == 1)
        }
    }

    @Test("prepares again when a table has changed under a statement")
    func changedTables() async throws {
        try await self.connected { connection in
            try await connection.execute("CREATE TABLE t (a int)")
            try await connection.execute("INSERT INTO t VALUES (1)")
            #expect(try await connection.queryOne("SELECT * FROM t").columnNames == ["a"])
            try await connection.execute("ALTER TABLE t ADD COLUMN b int")
            #expect(try await connection.queryOne("SELECT * FROM t").columnNames == ["a", "b"])
        }
    }

    @Test("does not prepare again inside a transaction, where everything before would be lost")
    func forgottenInTransaction() async throws {
        try await self.connected { connection in
            _ = try await connection.query("SELECT \(1)")
            try await connection.runScript("DEALLOCATE ALL; BEGIN")
            #expect(await code { try await connection.query("SELECT \(1)") } == .server(.invalidStatementName))
            try await connection.runScript("ROLLBACK")
        }
    }

    @Test("works without prepared statements, for poolers")
    func unprepared() async throws {
        try await TestDatabase.with { database in
            var configuration = database.configuration
            configuration.usesPreparedStatements = false
            let connection = try await PostgresConnection.connect(configuration, logger: database.logger)
            #expect(try await connection.queryOne("SELECT \(5)").decode(Int.self, at: 0) == 5)
            #expect(try await connection.query("SELECT name FROM pg_prepared_statements").isEmpty)
            await connection.close()
        }
    }

    @Test("stays usable after a task was cancelled in the middle of a statement")
    func cancellation() async throws {
        try await TestDatabase.with { database in
            try await database.withConnection { connection in
                let processID = try await connection.processID()
                let task = Task { await code { try await connection.query("SELECT pg_sleep(600), 'cancel me'") } }
                try await database.withConnection { try await $0.untilRunning("cancel me") }
                task.cancel()
                #expect(await task.value == .cancelled)
                #expect(try await connection.processID() == processID)
            }
        }
    }

    @Test("sends nothing for a task that is cancelled already")
    func cancelledBefore() async throws {
        try await self.connected { connection in
            try await connection.execute("CREATE TABLE t (n int)")
            let task = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return await code { try await connection.execute("INSERT INTO t VALUES (1)") }
            }
            #expect(await task.value == .cancelled)
            #expect(try await connection.query("SELECT n FROM t").isEmpty)
        }
    }

    @Test("never lets a cancellation hit another statement than its own")
    func cancellationIsPrecise() async throws {
        try await self.connected { connection in
            for round in 0..<200 {
                let task = Task { await code { try await connection.query("SELECT pg_sleep(0.0005)") } }
                if round % 3 != 0 { await Task.yield() }
                task.cancel()
                let outcome = await task.value
                #expect(outcome == nil || outcome == .cancelled)
                let answer = try await connection.queryOne("SELECT \(round)").decode(Int.self, at: 0)
                #expect(answer == round)
            }
        }
    }

    @Test("stays usable after a statement ran into its deadline")
    func deadline() async throws {
        try await self.connected { connection in
            let processID = try await connection.processID()
            #expect(await code { try await connection.query("SELECT pg_sleep(600)", timeout: .milliseconds(50)) } == .timeout)
            #expect(try await connection.processID() == processID)
        }
    }

    @Test("has the server keep a limit of its own")
    func statementTimeout() async throws {
        try await TestDatabase.with { database in
            var configuration = database.configuration
            configuration.statementTimeout = .milliseconds(50)
            let connection = try await PostgresConnection.connect(configuration, logger: database.logger)
            #expect(await code { try await connection.query("SELECT pg_sleep(600)", timeout: .seconds(600)) } == .timeout)
            #expect(try await connection.query("SELECT 1").count == 1)
            await connection.close()
        }
    }

    @Test("tells a cancel by somebody else from its own")
    func foreignCancel() async throws {
        try await TestDatabase.with { database in
            try await database.withConnection { connection in
                let processID = try await connection.processID()
                let task = Task { await code { try await connection.query("SELECT pg_sleep(600), 'cancel me'") } }
                try await database.withConnection { other in
                    try await other.untilRunning("cancel me")
                    try await other.execute("SELECT pg_cancel_backend(\(processID)::int)")
                }
                #expect(await task.value == .server(.queryCanceled))
                #expect(try await connection.processID() == processID)
            }
        }
    }

    @Test("is lost when the server ends it, and says so in the server's words")
    func terminated() async throws {
        try await self.connected { connection in
            let error = try #require(await failure { try await connection.query("SELECT pg_terminate_backend(pg_backend_pid())") })
            #expect(error.code == .connectionLost)
            #expect(error.sqlState == SQLState(rawValue: "57P01"), "\(error.debugDescription)")
            #expect(!connection.isOpen)
            #expect(await code { try await connection.query("SELECT 1") } == .closed)
        }
    }

    @Test("is lost when it was ended while nobody used it")
    func terminatedWhileIdle() async throws {
        try await TestDatabase.with { database in
            try await database.withConnection { connection in
                let processID = try await connection.processID()
                try await database.withConnection { try await $0.terminate(processID) }
                #expect(await code { try await connection.query("SELECT 1") } == .connectionLost)
            }
        }
    }

    @Test("refuses a result that is larger than its limit, and stays usable")
    func resultLimit() async throws {
        try await TestDatabase.with { database in
            var configuration = database.configuration
            configuration.maximumResultBytes = 1 << 20
            let connection = try await PostgresConnection.connect(configuration, logger: database.logger)
            let large: SQL = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)"
            #expect(await code { try await connection.query(large) } == .resultTooLarge)
            #expect(try await connection.query("SELECT repeat('x', 500000)").count == 1)
            await connection.close()
        }
    }

    @Test("refuses COPY and is closed, since nobody could end it")
    func copy() async throws {
        try await self.connected { connection in
            #expect(await code { try await connection.runScript("COPY (SELECT 1) TO STDOUT") } == .unsupported)
            #expect(!connection.isOpen)
        }
    }

    @Test("refuses more parameters than the protocol has numbers for, and stays usable")
    func tooManyParameters() async throws {
        try await self.connected { connection in
            let values = SQL.joined((0..<65_536).map { "\($0)" }, separator: ", ")
            #expect(await code { try await connection.query("SELECT ARRAY[\(values)]") } == .invalidParameter)
            let answer = try await connection.query("SELECT 1").count
            #expect(answer == 1)
        }
    }

    @Test("takes statements of many tasks one after the other")
    func concurrentCallers() async throws {
        try await self.connected { connection in
            try await withThrowingTaskGroup(of: (Int, Int).self) { group in
                for number in 0..<100 {
                    group.addTask { (number, try await connection.queryOne("SELECT \(number)").decode(Int.self, at: 0)) }
                }
                for try await (asked, answered) in group { #expect(asked == answered) }
            }
        }
    }

    @Test("runs several statements at once, all or none")
    func scripts() async throws {
        try await self.connected { connection in
            try await connection.runScript("CREATE TABLE t (n int); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)")
            #expect(await code { try await connection.runScript("DELETE FROM t; SELECT 1/0") } == .server(SQLState(rawValue: "22012")))
            #expect(try await connection.query("SELECT n FROM t").count == 2)
        }
    }

    @Test("cannot be made where no server is")
    func noServer() async throws {
        let configuration = PostgresConfiguration(host: "/nonexistent", user: "u", database: "d")
        #expect(await code { try await PostgresConnection.connect(configuration, logger: TestServer.logger) } == .unavailable)
    }

    @Test("cannot be made to a database that does not exist, and says why in the log text only")
    func noDatabase() async throws {
        try await TestDatabase.with { database in
            var configuration = database.configuration
            configuration.database = "nosuch"
            let wrong = configuration
            let error = try #require(await failure { try await PostgresConnection.connect(wrong, logger: database.logger) })
            #expect(error.code == .unavailable)
            #expect(error.debugDescription.contains("nosuch"))
            #expect(!error.description.contains("nosuch"))
        }
    }

    @Test("is given up when the server does not even answer a request to cancel")
    func silentServer() async throws {
        try await TestDatabase.with { database in
            try await database.withConnection { connection in
                let processID = try await connection.processID()
                kill(pid_t(processID), SIGSTOP)
                defer { kill(pid_t(processID), SIGCONT) }
                #expect(await code { try await connection.query("SELECT 1", timeout: .milliseconds(50)) } == .timeout)
                #expect(!connection.isOpen)
            }
        }
    }

    @Test("closes twice without harm")
    func closing() async throws {
        try await self.connected { connection in
            await connection.close()
            await connection.close()
            #expect(await code { try await connection.query("SELECT 1") } == .closed)
        }
    }

    @Test("leaves no thread and no descriptor behind")
    func leaks() async {
        // A process of its own: tests beside this one open and close all the time.
        await #expect(processExitsWith: .success) {
            func count(_ directory: String) -> Int {
                guard let handle = opendir(directory) else { return -1 }
                defer { closedir(handle) }
                var count = 0
                while readdir(handle) != nil { count += 1 }
                return count
            }
            let server = try await TestServer.shared()
            let rounds: @Sendable (Int) async throws -> Void = { rounds in
                for round in 0..<rounds {
                    try await server.administrate { connection in
                        _ = try await connection.query("SELECT \(round)")
                        _ = await code { try await connection.query("SELECT pg_sleep(600)", timeout: .milliseconds(1)) }
                        if round % 2 == 0 { _ = await code { try await connection.query("SELECT pg_terminate_backend(pg_backend_pid())") } }
                    }
                    var wrong = server.configuration(database: "nosuch")
                    wrong.port = "1"
                    _ = await code { try await PostgresConnection.connect(wrong, logger: TestServer.logger) }
                }
            }
            try await rounds(5)
            let before = count("/proc/self/fd")
            try await rounds(25)
            // The runtime opens a few descriptors and threads of its own when it likes, but fifty connections' worth would show.
            try await until { count("/proc/self/fd") < before + 10 }
            try await until { count("/proc/self/task") < 40 }
        }
    }
}
