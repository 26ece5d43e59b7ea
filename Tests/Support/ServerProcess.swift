import ExecboxAPI
import ExecboxCurl
import ExecboxDocker
import ExecboxModel
import ExecboxPostgres
import Foundation
import Glibc
import Synchronization

/// The real `execboxd` as a process of its own, with a database, a cluster id, a run folder and a port of its own: to be used, killed and
/// started again. Everything it made goes when the test ends.
package final class ServerProcess: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    package let engine: TestEngine
    package let database: TestDatabase
    /// An API key of the account that all tests' sessions belong to.
    package let key: String
    private let extraEnvironment: [String: String]
    private let curl = CurlClient()
    private let state = Mutex(State())

    private struct State {
        var pid: pid_t?
        var port: Int?
        var starts = 0
    }

    // MARK: Life

    /// A running server for as long as `body` runs; `prepare` is called before its first start.
    package static func with<Result: Sendable>(
        environment: [String: String] = [:], prepare: @Sendable (TestEngine) async throws -> Void = { _ in },
        _ body: @Sendable (ServerProcess) async throws -> Result
    ) async throws -> Result {
        try await TestDatabase.with(migrations: TestPaths.migrations) { database in
            try await TestEngine.with(started: false) { engine in
                // Databases are copies of one template, cluster id and all.
                let clusterID = engine.configuration.clusterID
                try await database.withConnection { connection in
                    _ = try await connection.execute("UPDATE cluster SET id = \(clusterID)")
                }
                try await prepare(engine)
                let server = try ServerProcess(engine: engine, database: database, environment: environment)
                do {
                    try await server.start()
                    let result = try await body(server)
                    try await server.end()
                    return result
                } catch {
                    try? await server.end()
                    throw error
                }
            }
        }
    }

    private init(engine: TestEngine, database: TestDatabase, environment: [String: String]) throws {
        self.engine = engine
        self.database = database
        extraEnvironment = environment
        key = try Self.output(
            of: ["keys", "create", "--name", "test"], environment: Self.environment(engine, database, environment, port: 0)
        ).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private static func environment(
        _ engine: TestEngine, _ database: TestDatabase, _ extra: [String: String], port: Int
    ) -> [String: String] {
        var variables: [String: String] = [:]
        for name in ["PATH", "HOME", "LD_LIBRARY_PATH"] {
            if let value = getenv(name) { variables[name] = String(cString: value) }
        }
        let configuration = engine.configuration
        let database = database.configuration
        variables["DATABASE_URL"] = "postgres://\(database.user)@/\(database.database)?host=\(database.host)&port=\(database.port)"
        variables["EXECBOX_LISTEN"] = "127.0.0.1:\(port)"
        variables["EXECBOX_MIGRATIONS"] = TestPaths.migrations
        variables["EXECBOX_SECRET_KEY"] = Data(repeating: 7, count: 32).base64EncodedString()
        variables["EXECBOX_RUN_DIR"] = configuration.runDirectory
        variables["EXECBOX_AGENT"] = configuration.agentPath
        variables["EXECBOX_BRIDGE"] = configuration.bridgeName
        variables["EXECBOX_BRIDGE_SUBNET"] = configuration.subnet
        variables["DOCKER_HOST"] = configuration.dockerHost
        variables["EXECBOX_NODE"] = "test-node"
        variables["EXECBOX_LOG_LEVEL"] = "debug"
        return variables.merging(extra) { $1 }
    }

    package static func executable(_ name: String) throws -> String { "\(try TestEngine.variable("EXECBOX_TEST_BIN"))/\(name)" }

    private var logPath: String { "\(engine.folder)/execboxd.\(state.withLock { $0.starts }).log" }

    /// What the server has logged since its last start.
    package var log: String { Self.text(of: logPath) }

    /// Starts it, the second time on the same port as the first, and waits until it serves.
    package func start() async throws {
        let port = state.withLock { state in
            state.starts += 1
            return state.port ?? 0
        }
        let pid = try ChildProgram.spawn(
            [try Self.executable("execboxd"), "serve"], environment: Self.environment(engine, database, extraEnvironment, port: port),
            output: logPath)
        state.withLock { $0.pid = pid }
        try await eventually("execboxd serves") {
            if ChildProgram.hasEnded(pid) { throw Failure(description: "execboxd ended at once:\n\(self.log)") }
            return self.servedPort().map { port in self.state.withLock { $0.port = port } } != nil
        }
        try await eventually("the backend is ready") { self.log.contains("\"Backend ready\"") }
    }

    private func servedPort() -> Int? {
        for line in log.split(separator: "\n") where line.contains("\"message\":\"Serving\"") {
            guard let range = line.range(of: "127.0.0.1/127.0.0.1:") else { continue }
            return Int(line[range.upperBound...].prefix { $0.isNumber })
        }
        return nil
    }

    /// SIGKILL: the plug is pulled.
    package func kill() async {
        guard let pid = state.withLock({ $0.pid }) else { return }
        await ChildProgram.end(pid, SIGKILL)
        state.withLock { $0.pid = nil }
    }

    package func send(_ signal: Int32) {
        if let pid = state.withLock({ $0.pid }) { _ = Glibc.kill(pid, signal) }
    }

    /// SIGTERM, and waits for the end.
    package func end() async throws {
        guard let pid = state.withLock({ $0.pid }) else { return }
        state.withLock { $0.pid = nil }
        try await Self.end(pid, log: logPath)
    }

    private static func end(_ pid: pid_t, log: String) async throws {
        guard await !ChildProgram.end(pid, SIGTERM) else { return }
        throw Failure(description: "execboxd does not end by SIGTERM:\n\(text(of: log).suffix(4000))")
    }

    private static func text(of path: String) -> String {
        (try? Data(contentsOf: URL(fileURLWithPath: path))).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// Another server process beside this one, on the same database, node and engine, at a port of its own, for as long as `body` runs.
    package func withSecond(_ body: () async throws -> Void) async throws {
        let path = "\(engine.folder)/second.log"
        unlink(path)
        let variables = Self.environment(engine, database, extraEnvironment, port: 0)
        let pid = try ChildProgram.spawn([try Self.executable("execboxd"), "serve"], environment: variables, output: path)
        do {
            try await eventually("the second execboxd serves") { Self.text(of: path).contains("\"Serving\"") }
            try await body()
        } catch {
            try? await Self.end(pid, log: path)
            throw Failure(description: "\(error); the second server's log:\n\(Self.text(of: path).suffix(8000))")
        }
        try await Self.end(pid, log: path)
    }

    /// Runs another `execboxd` command on the same database to its end.
    ///
    /// - Returns: what it wrote to standard output.
    @discardableResult
    package func execboxd(_ arguments: String...) throws -> String { try execboxd(arguments: arguments) }

    @discardableResult
    package func execboxd(arguments: [String]) throws -> String {
        try Self.output(of: arguments, environment: Self.environment(engine, database, extraEnvironment, port: 0))
    }

    private static func output(of arguments: [String], environment: [String: String]) throws -> String {
        let path = "\(try TestEngine.variable("EXECBOX_TEST_TMP"))/out-\(TestDatabase.randomName())"
        let errors = path + ".err"
        let pid = try ChildProgram.spawn(
            [try executable("execboxd")] + arguments, environment: environment, output: errors, standardOutput: path)
        let code = ChildProgram.wait(pid)
        defer {
            unlink(path)
            unlink(errors)
        }
        guard code == 0 else {
            throw Failure(description: String(decoding: try Data(contentsOf: URL(fileURLWithPath: errors)), as: UTF8.self))
        }
        return String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
    }

    // MARK: Calls

    package var port: Int { state.withLock { $0.port ?? 0 } }

    package func request(
        _ method: String, _ path: String, json: String? = nil, headers: [CurlHeader] = [], authorized: Bool = true
    ) async throws -> CurlResponse {
        var headers = headers
        if authorized { headers.append(CurlHeader("Authorization", "Bearer \(key)")) }
        return try await curl.send(
            CurlRequest(
                method: method, url: "http://127.0.0.1:\(port)\(path)", headers: headers,
                body: json.map { .bytes(Array($0.utf8)) } ?? .none,
                timeouts: CurlTimeouts(total: .seconds(120))), maximumBodyBytes: 64 << 20)
    }

    /// Makes a session without network from the test image, and waits until it runs.
    package func create(_ command: [String], extra: String = "") async throws -> SessionBody {
        let list = String(decoding: try JSONEncoder().encode(command), as: UTF8.self)
        let response = try await request(
            "POST", "/v1/sessions", json: #"{"image":"\#(engine.imageName)","network":"none","command":\#(list)\#(extra)}"#)
        guard response.status == 201 else { throw Failure(description: String(decoding: response.body, as: UTF8.self)) }
        return try SessionBody.fromJSON(response.body)
    }

    package func session(_ id: String) async throws -> SessionBody {
        try SessionBody.fromJSON(try await request("GET", "/v1/sessions/\(id)").body)
    }

    /// The session once it has ended.
    package func ended(_ id: String) async throws -> SessionBody {
        let session = try SessionBody.fromJSON(try await request("GET", "/v1/sessions/\(id)/wait?timeoutMs=60000").body)
        guard session.status.isTerminal else {
            throw Failure(description: "\(id) is \(session.status) after a minute:\n\(log.suffix(4000))")
        }
        return session
    }
}
