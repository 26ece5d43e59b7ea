import ExecboxAPI
import ExecboxClient
import ExecboxCurl
import ExecboxModel
import Glibc

/// What a run measures on: servers that `make bench` has started in a room of their own, told by the environment.
struct Setting: Sendable {
    struct Missing: Error, CustomStringConvertible {
        let name: String
        var description: String { "\(name) is not set; run the benchmarks by 'make bench'" }
    }

    let client: ExecboxClient
    let url: String
    /// Of an account with next to no limit of requests, and of one with a million ended sessions.
    let apiKey: String
    let historyKey: String
    let engine: DockerEngine
    let image: String
    /// The command lines: ours, and Docker's with its version.
    let execbox: String
    let docker: String
    let dockerVersion: String
    let agent: String
    let busybox: String
    /// lines.c, which the image has too.
    let lines: String
    let serverPID: Int32
    let enginePID: Int32
    /// This program, for what has to be a process of its own.
    let ourselves: String
    /// The network that our sandboxes with `outgoing` are on, as the engine knows it.
    let network: String

    init() throws {
        func variable(_ name: String) throws -> String {
            guard let value = getenv(name), value.pointee != 0 else { throw Missing(name: name) }
            return String(cString: value)
        }
        func process(_ name: String) throws -> Int32 {
            guard let pid = Int32(try variable(name)) else { throw Missing(name: name) }
            return pid
        }
        url = try variable("EXECBOX_URL")
        apiKey = try variable("BENCH_API_KEY")
        historyKey = try variable("BENCH_HISTORY_KEY")
        client = try ExecboxClient(url: url, apiKey: try variable("EXECBOX_API_KEY"))
        engine = DockerEngine(socketPath: try variable("BENCH_ENGINE_SOCKET"))
        image = try variable("EXECBOX_IMAGE")
        execbox = try variable("BENCH_EXECBOX")
        docker = try variable("BENCH_DOCKER")
        dockerVersion = try variable("BENCH_DOCKER_VERSION")
        agent = try variable("BENCH_AGENT")
        busybox = try variable("BENCH_BUSYBOX")
        lines = try variable("BENCH_LINES")
        serverPID = try process("BENCH_SERVER_PID")
        enginePID = try process("BENCH_ENGINE_PID")
        network = try variable("BENCH_NETWORK")
        ourselves = CommandLine.arguments[0]
    }

    /// So many keys of the account with next to no limit, the first of which there was.
    func apiKeys(_ count: Int) async throws -> [String] {
        let curl = CurlClient()
        var keys = [apiKey]
        while keys.count < count {
            let request = CurlRequest(
                method: "POST", url: url + "/v1/account/keys", headers: [CurlHeader("Authorization", "Bearer \(apiKey)")],
                body: .bytes(Array(#"{"name":"bench"}"#.utf8)))
            guard let key = try KeyBody.fromJSON(try await curl.send(request).body).key else { throw Missing(name: "a key") }
            keys.append(key)
        }
        return keys
    }

    /// A running session of ours without a network, for as long as `body` runs.
    func withSession<Result>(
        command: [String] = ["sleep", "1000000"], key: String? = nil, diskMB: Int? = nil, _ body: (SessionBody) async throws -> Result
    ) async throws -> Result {
        let client = try key.map { try ExecboxClient(url: url, apiKey: $0) } ?? client
        var request = CreateSessionBody(image: image)
        request.command = command
        request.network = NetworkMode.none
        if let diskMB {
            var resources = RequestedResources()
            resources.diskMB = diskMB
            request.resources = resources
        }
        let session = try await client.sessions.create(request, waitSeconds: 60)
        do {
            let result = try await body(session)
            _ = try? await client.sessions.kill(session.id)
            return result
        } catch {
            _ = try? await client.sessions.kill(session.id)
            throw error
        }
    }

    /// A running container of the engine's without a network, for as long as `body` runs.
    func withContainer<Result>(command: [String] = ["sleep", "1000000"], _ body: (String) async throws -> Result) async throws -> Result {
        let container = try await engine.start(image: image, command: command)
        do {
            let result = try await body(container)
            try? await engine.remove(container)
            return result
        } catch {
            try? await engine.remove(container)
            throw error
        }
    }

    /// Waits until no container is left, and for what the kernel still has to take down behind them: the next measurement is not to pay
    /// for the last one.
    func waitUntilQuiet() async throws {
        while try await !engine.containers().isEmpty { try await Task.sleep(for: .milliseconds(20)) }
        try await Task.sleep(for: .milliseconds(300))
    }
}
