import ExecboxPostgres
import ExecboxTestSupport
import Testing

@Suite("The migrator", .timeLimit(.minutes(2))) struct MigratorTests {
    private func migrate(_ directory: TemporaryDirectory, _ database: TestDatabase) async throws -> [String] {
        try await Migrator(directory: directory.path, logger: database.logger).migrate(database.configuration).map(\.name)
    }

    private func failure(_ directory: TemporaryDirectory, _ database: TestDatabase) async -> String? {
        do {
            _ = try await self.migrate(directory, database)
            return nil
        } catch {
            return "\(error)"
        }
    }

    /// Two migrations: a table, and a row in it.
    private func withMigrations(_ body: @Sendable (TemporaryDirectory, TestDatabase) async throws -> Void) async throws {
        try await TemporaryDirectory.with { directory in
            try directory.write("0001_table.sql", "CREATE TABLE t (n int);\nCREATE INDEX ON t (n);")
            try directory.write("0002_row.sql", "INSERT INTO t VALUES (1);")
            try directory.write("README.md", "not a migration")
            try await TestDatabase.with { database in try await body(directory, database) }
        }
    }

    @Test("applies all files to an empty database, in order")
    func fromEmpty() async throws {
        try await self.withMigrations { directory, database in
            let applied = try await self.migrate(directory, database)
            #expect(applied == ["0001_table", "0002_row"])
            let rows = try await database.withConnection { try await $0.query("SELECT n FROM t") }
            #expect(rows.count == 1)
        }
    }

    @Test("does nothing the second time")
    func twice() async throws {
        try await self.withMigrations { directory, database in
            _ = try await self.migrate(directory, database)
            let again = try await self.migrate(directory, database)
            #expect(again == [])
        }
    }

    @Test("applies only what is new")
    func newFile() async throws {
        try await self.withMigrations { directory, database in
            _ = try await self.migrate(directory, database)
            try directory.write("0003_more.sql", "INSERT INTO t VALUES (2)")
            let pending = try await Migrator(directory: directory.path, logger: database.logger).pending(database.configuration)
            #expect(pending.map(\.version) == [3])
            let applied = try await self.migrate(directory, database)
            #expect(applied == ["0003_more"])
        }
    }

    @Test("tells what it would do without touching the database")
    func pending() async throws {
        try await self.withMigrations { directory, database in
            let pending = try await Migrator(directory: directory.path, logger: database.logger).pending(database.configuration)
            #expect(pending.map(\.name) == ["0001_table", "0002_row"])
            let tables = try await database.withConnection { try await $0.query("SELECT 1 FROM pg_tables WHERE schemaname = 'public'") }
            #expect(tables.isEmpty)
        }
    }

    @Test("refuses when an applied file was changed")
    func changedFile() async throws {
        try await self.withMigrations { directory, database in
            _ = try await self.migrate(directory, database)
            try directory.write("0001_table.sql", "CREATE TABLE t (n int); -- better")
            try directory.write("0003_more.sql", "INSERT INTO t VALUES (2)")
            let failure = await self.failure(directory, database)
            #expect(failure == "migration 0001_table was changed after it was applied")
            let rows = try await database.withConnection { try await $0.query("SELECT n FROM t") }
            #expect(rows.count == 1)
        }
    }

    @Test("refuses when an applied file is missing")
    func missingFile() async throws {
        try await self.withMigrations { directory, database in
            _ = try await self.migrate(directory, database)
            directory.remove("0002_row.sql")
            let failure = await self.failure(directory, database)
            #expect(failure == "migration 0002_row is applied but has no file")
        }
    }

    @Test("refuses a new file that comes before an applied one")
    func outOfOrder() async throws {
        try await self.withMigrations { directory, database in
            _ = try await self.migrate(directory, database)
            try directory.write("0000_early.sql", "SELECT 1")
            let failure = await self.failure(directory, database)
            #expect(failure == "migration 0000_early comes before one that is applied already")
        }
    }

    @Test("leaves nothing of a file that fails, and keeps those before")
    func failingFile() async throws {
        try await self.withMigrations { directory, database in
            try directory.write("0003_bad.sql", "INSERT INTO t VALUES (2); INSERT INTO nosuch VALUES (1);")
            let failure = await self.failure(directory, database)
            #expect(failure?.contains("0003_bad") == true)
            let rows = try await database.withConnection { try await $0.query("SELECT n FROM t") }
            #expect(rows.count == 1)
            try directory.write("0003_bad.sql", "INSERT INTO t VALUES (2);")
            let applied = try await self.migrate(directory, database)
            #expect(applied == ["0003_bad"])
        }
    }

    @Test("refuses a file that ends its transaction")
    func commitInFile() async throws {
        try await self.withMigrations { directory, database in
            try directory.write("0003_commit.sql", "INSERT INTO t VALUES (2); COMMIT; BEGIN;")
            let failure = await self.failure(directory, database)
            #expect(failure == "migration 0003_commit must not end its transaction")
        }
    }

    @Test("refuses names it cannot order", arguments: ["1_a.sql", "0003.sql", "0003-a.sql", "00a3_a.sql", "0001_again.sql", "0003_.sql"])
    func names(name: String) async throws {
        try await self.withMigrations { directory, database in
            try directory.write(name, "SELECT 1")
            let failure = await self.failure(directory, database)
            #expect(failure != nil)
        }
    }

    @Test("applies everything once when several processes begin at the same time")
    func atOnce() async throws {
        try await self.withMigrations { directory, database in
            try await withThrowingTaskGroup(of: [String].self) { group in
                for _ in 0..<4 { group.addTask { try await self.migrate(directory, database) } }
                var applied: [String] = []
                for try await some in group { applied += some }
                #expect(applied.sorted() == ["0001_table", "0002_row"])
            }
            let rows = try await database.withConnection { try await $0.query("SELECT n FROM t") }
            #expect(rows.count == 1)
        }
    }

    @Test("prepares the databases of other tests")
    func fixture() async throws {
        try await TemporaryDirectory.with { directory in
            try directory.write("0001_table.sql", "CREATE TABLE t (n int)")
            for _ in 0..<2 {
                try await TestDatabase.with(migrations: directory.path) { database in
                    let rows = try await database.withConnection { connection in
                        try await connection.execute("INSERT INTO t VALUES (1)")
                        return try await connection.query("SELECT n FROM t")
                    }
                    #expect(rows.count == 1)
                }
            }
            let template = TestServer.templateName(directory.path)
            try await TestServer.shared().administrate { try await $0.runScript("DROP DATABASE \"\(template)\" WITH (FORCE)") }
        }
    }
}
