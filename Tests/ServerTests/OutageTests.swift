import ExecboxAPI
import ExecboxCurl
import ExecboxDocker
import ExecboxModel
import ExecboxPostgres
import ExecboxTestSupport
import ExecboxWebSocket
import ExecboxWire
import Logging
import NIOCore
import Testing

/// A dependency goes away: callers are told which, nothing is lost, and nobody restarts anything when it is back.
@Suite struct OutageTests {
    @Test func whileDockerIsAwayCreatesAnswer503AndSessionsLiveOn() async throws {
        let folder = try TestEngine.variable("EXECBOX_TEST_TMP")
        let engine = try TestEngine.variable("EXECBOX_TEST_DOCKER_HOST").dropFirst("unix://".count)
        let proxy = EngineProxy(path: "\(folder)/p\(TestDatabase.randomName())", target: String(engine))
        try proxy.start()
        defer { proxy.stop() }
        try await ServerProcess.with(environment: ["DOCKER_HOST": "unix://\(proxy.path)"]) { server in
            let session = try await server.create(["sh", "-c", "echo before; read x; echo after"])
            proxy.stop()
            let refused = try await server.request(
                "POST", "/v1/sessions", json: #"{"image":"\#(server.engine.imageName)","network":"none"}"#)
            #expect(refused.status == 503)
            #expect(try ErrorBody.fromJSON(refused.body).code == "BACKEND_UNAVAILABLE")
            #expect(refused.headers.contains { $0.name.lowercased() == "retry-after" })
            let ready = try await server.request("GET", "/ready")
            #expect(ready.status == 503)
            #expect(try ErrorBody.fromJSON(ready.body).error.contains("Docker"))
            // What runs needs its agent, not the engine.
            let record = try await server.record("/v1/sessions/\(session.id)/attach", stdin: Array("x\n".utf8))
            #expect(record.text == "before\nafter\n")
            #expect(record.exit == 0)
            try proxy.start()
            try await eventually("the server is ready again") { try await server.request("GET", "/ready").status == 200 }
            let next = try await server.ended(try await server.create(["true"]).id)
            #expect(next.exitCode == 0)
            try await eventually("all sandboxes are gone") { try await server.containers().isEmpty }
        }
    }

    @Test func whileTheDatabaseIsAwayCallsAnswer503AndNoByteIsLost() async throws {
        let name = "outage-\(TestDatabase.randomName())"
        let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        @Sendable func startDatabase() async throws -> PrivateCluster {
            try await PrivateCluster.start(name, base: TestServer.clusterDirectory, durability: .throwAway, logger: log)
        }
        let cluster = try await startDatabase()
        do {
            _ = try await Migrator(directory: TestPaths.migrations, logger: log).migrate(cluster.configuration)
            let at = cluster.configuration
            let url = "postgres://\(at.user)@/\(at.database)?host=\(at.host)&port=\(at.port)"
            try await ServerProcess.with(environment: ["DATABASE_URL": url]) { engine in
                let connection = try await PostgresConnection.connect(at, logger: log)
                _ = try await connection.execute("UPDATE cluster SET id = \(engine.configuration.clusterID)")
                await connection.close()
            } _: { server in
                let session = try await server.create(["sh", "-c", "read x; seq 1 100000; echo end"])
                let stream = try await server.stream("/v1/sessions/\(session.id)/attach")
                try await cluster.stop()
                try await eventually("calls answer 503") { try await server.request("GET", "/v1/sessions").status == 503 }
                let refused = try ErrorBody.fromJSON(try await server.request("GET", "/v1/sessions").body)
                #expect(refused.error.contains("database"))
                try await stream.send(binary: ByteBuffer(bytes: Frame.stdin([10]).bytes))
                var record = StreamRecord()
                // Head bytes wait in the agent for the recorder; readers get them all the same.
                try await server.collect(stream, into: &record) { $0.text.hasSuffix("end\n") }
                _ = try await startDatabase()
                try await eventually("the server is ready again") { try await server.request("GET", "/ready").status == 200 }
                try await server.collect(stream, into: &record)
                #expect(record.exit == 0)
                let expected = Array((1...100_000).map { "\($0)\n" }.joined().utf8) + Array("end\n".utf8)
                #expect(firstDifference(record.stdout, expected) == nil)
                let ended = try await server.ended(session.id)
                #expect(ended.reason == .exited)
                let log = try await server.request("GET", "/v1/sessions/\(session.id)/logs")
                #expect(firstDifference(log.body, expected) == nil)
            }
            try await cluster.remove()
        } catch {
            try? await cluster.remove()
            throw error
        }
    }
}
