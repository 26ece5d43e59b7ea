import ExecboxPostgres
import ExecboxTestSupport
import Glibc
import Testing

@Suite("A private cluster", .timeLimit(.minutes(2))) struct PrivateClusterTests {
    private func start(_ name: String, base: String = TestServer.clusterDirectory) async throws(PostgresError) -> PrivateCluster {
        try await PrivateCluster.start(name, base: base, durability: .throwAway, logger: TestServer.logger)
    }

    /// A cluster of the test's own that is removed afterwards.
    private func withCluster(
        base: String = TestServer.clusterDirectory, _ body: @Sendable (String, PrivateCluster) async throws -> Void
    ) async throws {
        let name = "own-\(TestDatabase.randomName())"
        let cluster = try await self.start(name, base: base)
        try cluster.removeWhenThisProcessEnds()
        try await body(name, cluster)
        try await cluster.remove()
    }

    private func connect(_ cluster: PrivateCluster) async throws(PostgresError) -> PostgresConnection {
        try await PostgresConnection.connect(cluster.configuration, logger: TestServer.logger)
    }

    @Test("is adopted while it runs, and keeps its data over a restart")
    func lifeCycle() async throws {
        try await self.withCluster { name, cluster in
            #expect(!cluster.wasAdopted)
            let connection = try await self.connect(cluster)
            try await connection.execute("CREATE TABLE t AS SELECT 42::int8 AS n")
            let started: String = try await connection.queryOne("SELECT pg_postmaster_start_time()::text AS s").decode("s")

            let adopted = try await self.start(name)
            #expect(adopted.wasAdopted)
            let other = try await self.connect(adopted)
            let same: String = try await other.queryOne("SELECT pg_postmaster_start_time()::text AS s").decode("s")
            #expect(same == started)

            try await adopted.stop()
            try await adopted.stop()
            #expect(await code { try await self.connect(cluster) } == .unavailable)

            let again = try await self.start(name)
            #expect(!again.wasAdopted)
            let last = try await self.connect(again)
            let n = try await last.queryOne("SELECT n FROM t").decode(Int.self, "n")
            #expect(n == 42)
            await last.close()
        }
    }

    @Test("starts again with its data after its server was killed, whatever the left-over pid file says")
    func killed() async throws {
        try await self.withCluster { name, cluster in
            let connection = try await self.connect(cluster)
            try await connection.execute("CREATE TABLE t AS SELECT 42::int8 AS n")
            // A throw-away cluster commits before it writes.
            try await connection.runScript("CHECKPOINT")
            let file: String = try await connection.queryOne("SELECT pg_read_file('postmaster.pid') AS f").decode("f")
            let server = try #require(file.split(separator: "\n").first.flatMap { pid_t($0) })
            await connection.close()
            kill(server, SIGKILL)
            try await until { await code { try await self.connect(cluster) } != nil }

            let again = try await self.start(name)
            #expect(!again.wasAdopted)
            let last = try await self.connect(again)
            let n = try await last.queryOne("SELECT n FROM t").decode(Int.self, "n")
            #expect(n == 42)
            await last.close()
        }
    }

    @Test("is one, however many start it at the same time")
    func startedAtOnce() async throws {
        try await self.withCluster { name, cluster in
            try await cluster.stop()
            let adoptions = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<4 { group.addTask { try await self.start(name).wasAdopted } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(adoptions.count { !$0 } == 1)
        }
    }

    @Test("listens on no network address, and its socket is closed to others")
    func seclusion() async throws {
        try await self.withCluster { _, cluster in
            let connection = try await self.connect(cluster)
            let row = try await connection.queryOne(
                "SELECT current_setting('listen_addresses') AS l, current_setting('unix_socket_permissions') AS p")
            #expect(try row.decode(String.self, "l") == "")
            #expect(try row.decode(String.self, "p") == "0700")
            await connection.close()
        }
    }

    @Test("finds a short place for its socket when its directory is deep")
    func deepDirectory() async throws {
        let base = "\(TestServer.clusterDirectory)/\(String(repeating: "deep", count: 25))"
        try await self.withCluster(base: base) { _, cluster in
            let connection = try await self.connect(cluster)
            let directory: String = try await connection.queryOne("SELECT current_setting('data_directory') AS d").decode("d")
            #expect(directory.hasPrefix(base))
            await connection.close()
        }
    }

    @Test("refuses a name that would leave its directory")
    func names() async throws {
        #expect(await code { try await self.start("../x") } == .configuration)
        #expect(await code { try await self.start("") } == .configuration)
    }
}
