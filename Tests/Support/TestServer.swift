import ExecboxPostgres
import Glibc
import Logging
import Synchronization

/// The PostgreSQL server of a test run: the one in `EXECBOX_TEST_DATABASE_URL`, or a throw-away cluster that goes when this process does.
package actor TestServer {
    private let base: PostgresConfiguration
    private var templates: [String: Task<String, any Error>] = [:]

    // Tests run all at once, and each may open a pool: the server has fewer connections than that.
    private var seats = 8
    private var queue: [CheckedContinuation<Void, Never>] = []

    /// Says errors only: tests make connections break on purpose.
    package static let logger: Logger = {
        var logger = Logger(label: "test") { label in StreamLogHandler.standardError(label: label) }
        logger.logLevel = .error
        return logger
    }()

    /// Where throw-away clusters live: short, since socket paths have 107 bytes, and a place that the user `postgres` can enter.
    package static let clusterDirectory = "/tmp/execbox-tests-\(geteuid())"

    // Global state, as the server itself is; the task is owned by being awaited by every test.
    private static let running = Task<TestServer, any Error> { try await start() }

    /// The server, started at the first call.
    package static func shared() async throws -> TestServer {
        try await self.running.value
    }

    private init(_ configuration: PostgresConfiguration) {
        var configuration = configuration
        // A busy machine is no reason for a test to fail.
        configuration.connectTimeout = .seconds(60)
        self.base = configuration
    }

    /// Waits until one of few may use a database. Ended by `leave()`.
    func enter() async {
        if self.seats > 0 {
            self.seats -= 1
        } else {
            await withCheckedContinuation { self.queue.append($0) }
        }
    }

    func leave() {
        if self.queue.isEmpty {
            self.seats += 1
        } else {
            self.queue.removeFirst().resume()
        }
    }

    /// How to connect, as superuser, to a database of this server.
    package nonisolated func configuration(database: String) -> PostgresConfiguration {
        var configuration = self.base
        configuration.database = database
        return configuration
    }

    /// Lends a connection to the database `postgres`.
    package nonisolated func administrate(_ body: @Sendable (PostgresConnection) async throws -> Void) async throws {
        let connection = try await PostgresConnection.connect(self.configuration(database: "postgres"), logger: Self.logger)
        do { try await body(connection) } catch {
            await connection.close()
            throw error
        }
        await connection.close()
    }

    /// Makes a database, empty or a copy of one with the migrations of a directory applied.
    func create(_ name: String, migrations directory: String?) async throws {
        let template = if let directory { try await self.template(migrations: directory) } else { "template0" }
        try await self.administrate { connection in
            // Nobody may be connected to a database that is copied, so another test run that looks after the template has to wait.
            try await connection.execute("SELECT pg_advisory_lock_shared(\(Self.templateLock))")
            try await connection.runScript("CREATE DATABASE \"\(name)\" TEMPLATE \"\(template)\"")
        }
    }

    // Any constant would do.
    private static let templateLock: Int64 = 0x7465_6d70

    /// The name of a database with the migrations of a directory applied. It stays on the server, and later test runs bring it up to date.
    private func template(migrations directory: String) async throws -> String {
        let task: Task<String, any Error>
        if let known = self.templates[directory] {
            task = known
        } else {
            task = Task { try await self.makeTemplate(directory) }
            self.templates[directory] = task
        }
        return try await task.value
    }

    /// What the template of a directory of migrations is called.
    package static func templateName(_ directory: String) -> String {
        let digest = directory.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return "template_\(String(digest, radix: 16))"
    }

    private func makeTemplate(_ directory: String) async throws -> String {
        let name = Self.templateName(directory)
        try await self.administrate { connection in
            try await connection.execute("SELECT pg_advisory_lock(\(Self.templateLock))")
            if try await connection.query("SELECT 1 FROM pg_database WHERE datname = \(name)").isEmpty {
                try await connection.runScript("CREATE DATABASE \"\(name)\" TEMPLATE template0")
            }
            do {
                try await self.migrate(name, directory)
            } catch is MigrationError {
                // Migrations that were never released may change: begin again.
                try await connection.runScript("DROP DATABASE \"\(name)\" WITH (FORCE)")
                try await connection.runScript("CREATE DATABASE \"\(name)\" TEMPLATE template0")
                try await self.migrate(name, directory)
            }
        }
        return name
    }

    private nonisolated func migrate(_ database: String, _ directory: String) async throws {
        let configuration = self.configuration(database: database)
        _ = try await Migrator(directory: directory, logger: Self.logger).migrate(configuration)
        // The server takes a moment to see that the migrator has left, and copies nothing before that.
        try await self.administrate { connection in
            let sessions: SQL = "SELECT 1 FROM pg_stat_activity WHERE datname = \(database)"
            while try await !connection.query(sessions).isEmpty { await Task.yield() }
        }
    }

    private static func start() async throws -> TestServer {
        if let url = getenv("EXECBOX_TEST_DATABASE_URL"), url.pointee != 0 {
            return TestServer(try PostgresConfiguration(url: String(cString: url)))
        }
        let cluster = try await PrivateCluster.start(
            "test-\(TestDatabase.randomName())", base: self.clusterDirectory, durability: .throwAway, logger: self.logger)
        try cluster.removeWhenThisProcessEnds()
        return TestServer(cluster.configuration)
    }
}
