import ExecboxCurl
import ExecboxDocker
import ExecboxModel
import ExecboxSandbox
import FoundationEssentials
import Glibc
import Logging

/// A Docker backend of a test's own on the real engine that `make test` starts: own cluster id, own run folder, own bridge. Whatever
/// carries that cluster id goes when the test ends.
///
/// Uses `EXECBOX_TEST_DOCKER_HOST`, `EXECBOX_TEST_IMAGE`, `EXECBOX_TEST_AGENT`, `EXECBOX_TEST_TMP` and, for pulls,
/// `EXECBOX_TEST_REGISTRY`; a missing one fails the test by its name.
package struct TestEngine: Sendable {
    package struct Missing: Error, CustomStringConvertible {
        package let description: String
    }

    package let configuration: DockerConfiguration
    package let backend: DockerBackend
    /// An image with a shell that is at hand.
    package let imageName: String
    /// A folder of the test's own.
    package let folder: String
    private let socketPath: String
    private let curl = CurlClient()

    /// Starts a backend, runs `body`, and removes everything of its cluster, whether or not `body` threw.
    package static func with<Result>(
        started: Bool = true, configure: (inout DockerConfiguration) -> Void = { _ in }, body: (TestEngine) async throws -> Result
    ) async throws -> Result {
        let engine = try TestEngine(configure: configure)
        do {
            if started { try await engine.backend.start() }
            let result = try await body(engine)
            try await engine.removeEverything()
            return result
        } catch {
            try? await engine.removeEverything()
            throw error
        }
    }

    private init(configure: (inout DockerConfiguration) -> Void) throws {
        let random = (0..<12).map { _ in String(Int.random(in: 0..<36), radix: 36) }.joined()
        let host = try Self.variable("EXECBOX_TEST_DOCKER_HOST")
        folder = "\(try Self.variable("EXECBOX_TEST_TMP"))/e\(random.prefix(8))"
        // Every test has a range of its own, so that bridges can stand side by side.
        let block = Int.random(in: 0..<(1 << 12))
        var configuration = DockerConfiguration(
            dockerHost: host, clusterID: random, runDirectory: "\(folder)/run", agentPath: try Self.variable("EXECBOX_TEST_AGENT"),
            subnet: "172.\(24 + block >> 9 & 7).\(block >> 1 & 255).\(block % 2 * 128)/25")
        configure(&configuration)
        self.configuration = configuration
        imageName = try Self.variable("EXECBOX_TEST_IMAGE")
        socketPath = String(host.dropFirst("unix://".count))
        guard mkdir(folder, 0o755) == 0 else { throw Missing(description: "\(folder) cannot be made") }
        var logger = Logger(label: "test.docker")
        logger.logLevel = .warning
        backend = try DockerBackend(configuration: configuration, logger: logger)
    }

    /// A variable of the environment that `make test` sets.
    package static func variable(_ name: String) throws -> String {
        guard let value = getenv(name), value.pointee != 0 else {
            throw Missing(description: "\(name) is not set; run the tests by 'make test'")
        }
        return String(cString: value)
    }

    // MARK: Sandboxes

    /// What `create` takes, with a new sandbox id.
    package func spec(
        resources: Resources = Resources(cpuMillis: 500, memoryMB: 64, pids: 64), network: NetworkMode = .none, ports: [PortSpec] = []
    ) async throws -> SandboxSpec {
        let image = try await backend.prepare(ImageSpec(name: imageName)) { _ in }
        let now = UInt64(Date().timeIntervalSince1970 * 1000)
        return SandboxSpec(
            sandboxID: .make(unixMilliseconds: now), sessionID: .make(unixMilliseconds: now), image: image, resources: resources,
            network: network, ports: ports)
    }

    /// The container's name for a sandbox.
    package func containerName(_ id: SandboxID) -> String { "execbox-\(configuration.shortID)-\(id.ulid.text)" }

    // MARK: The engine, past the backend

    /// Calls the engine itself: what a test wants to see or do behind the backend's back.
    @discardableResult
    package func docker(_ method: String, _ path: String, json: String? = nil, deadline: Duration = .seconds(30)) async throws
        -> CurlResponse
    {
        try await curl.send(
            CurlRequest(
                method: method, url: "http://docker/v1.41\(path)",
                headers: json == nil ? [] : [CurlHeader("Content-Type", "application/json")],
                body: json.map { .bytes(Array($0.utf8)) } ?? .none, unixSocketPath: socketPath, timeouts: CurlTimeouts(total: deadline)))
    }

    /// As `docker`, decoded: keys with a small first letter.
    package func docker<Value: Decodable>(
        _ type: Value.Type, _ method: String, _ path: String, json: String? = nil
    ) async throws -> Value {
        let response = try await docker(method, path, json: json)
        guard response.status < 300 else {
            throw Missing(description: "\(method) \(path): \(response.status) \(String(decoding: response.body, as: UTF8.self))")
        }
        return try DockerJSON.decode(type, from: response.body)
    }

    private struct ExecID: Decodable { let id: String }
    private struct ExecState: Decodable { let running: Bool; let exitCode: Int? }

    /// Runs a shell command in the sandbox by Docker's own exec, not by the agent, and gives its exit code and output.
    package func shell(_ id: SandboxID, _ command: String, user: String = "0:0") async throws -> (code: Int, output: String) {
        let encoder = JSONEncoder()
        let text = String(decoding: try encoder.encode(command), as: UTF8.self)
        let exec = try await docker(
            ExecID.self, "POST", "/containers/\(containerName(id))/exec",
            json: #"{"AttachStdout":true,"AttachStderr":true,"Tty":true,"User":"\#(user)","Cmd":["/bin/sh","-c",\#(text)]}"#)
        let answer = try await docker("POST", "/exec/\(exec.id)/start", json: #"{"Detach":false,"Tty":true}"#)
        while true {
            let state = try await docker(ExecState.self, "GET", "/exec/\(exec.id)/json")
            if !state.running, let code = state.exitCode { return (code, String(decoding: answer.body, as: UTF8.self)) }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    // MARK: Cleaning

    private struct Listed: Decodable { let id: String }
    private struct Volumes: Decodable { let volumes: [Volume]? }
    private struct Volume: Decodable { let name: String }

    private func removeEverything() async throws {
        let filter = "filters=%7B%22label%22%3A%5B%22execbox.cluster%3D\(configuration.clusterID)%22%5D%7D"
        for container in try await docker([Listed].self, "GET", "/containers/json?all=1&\(filter)") {
            try await docker("DELETE", "/containers/\(container.id)?force=1&v=1")
        }
        try await backend.removeHostRules()
        for network in try await docker([Listed].self, "GET", "/networks?\(filter)") {
            try await docker("DELETE", "/networks/\(network.id)")
        }
        for volume in try await docker(Volumes.self, "GET", "/volumes?\(filter)").volumes ?? [] {
            try await docker("DELETE", "/volumes/\(volume.name)?force=1")
        }
        for image in try await docker([Listed].self, "GET", "/images/json?\(filter)") {
            try await docker("DELETE", "/images/\(image.id)?force=1")
        }
        try? FileManager.default.removeItem(atPath: folder)
    }
}
