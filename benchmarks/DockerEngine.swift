import ExecboxCurl
import ExecboxDocker

/// The peer: the same engine that our sandboxes run on, used directly over its API (moby's `docs/api`, version 1.41) on kept connections.
struct DockerEngine: Sendable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let socketPath: String
    private let curl = CurlClient()
    static let version = "1.41"

    init(socketPath: String) { self.socketPath = socketPath }

    private func request(_ method: String, _ path: String, _ json: [UInt8]?, patience: Duration? = nil) -> CurlRequest {
        CurlRequest(
            method: method, url: "http://docker/v\(Self.version)\(path)",
            headers: json == nil ? [] : [CurlHeader("Content-Type", "application/json")],
            body: json.map { .bytes($0) } ?? .none, unixSocketPath: socketPath,
            timeouts: CurlTimeouts(total: patience))
    }

    @discardableResult
    func call(_ method: String, _ path: String, _ body: [UInt8]? = nil) async throws -> [UInt8] {
        let response = try await curl.send(request(method, path, body), maximumBodyBytes: 64 << 20)
        guard (200..<300).contains(response.status) else {
            throw Failure(description: "\(method) \(path): \(response.status) \(String(decoding: response.body, as: UTF8.self))")
        }
        return response.body
    }

    // MARK: Containers

    private struct Created: Decodable { let id: String }
    struct Container: Decodable {
        let id: String
        let names: [String]
    }
    private struct Inspected: Decodable {
        struct State: Decodable { let pid: Int32 }
        let state: State
    }

    private struct CreateBody: Encodable {
        struct HostConfig: Encodable { let networkMode: String }
        let image: String
        let cmd: [String]
        let hostConfig: HostConfig
    }

    /// A running container without a network.
    func start(image: String, command: [String]) async throws -> String {
        let body = try DockerJSON.encode(CreateBody(image: image, cmd: command, hostConfig: .init(networkMode: "none")))
        let id = try DockerJSON.decode(Created.self, from: try await call("POST", "/containers/create", body)).id
        try await call("POST", "/containers/\(id)/start")
        return id
    }

    func remove(_ container: String) async throws { try await call("DELETE", "/containers/\(container)?force=1&v=1") }

    func containers() async throws -> [Container] {
        try DockerJSON.decode([Container].self, from: try await call("GET", "/containers/json?all=1"))
    }

    /// The process id of its first process, as the host counts.
    func pid(of container: String) async throws -> Int32 {
        try DockerJSON.decode(Inspected.self, from: try await call("GET", "/containers/\(container)/json")).state.pid
    }

    /// How long `killWithStuckReader` waits.
    static let killPatience = Duration.seconds(15)

    /// How long `kill` takes while somebody is attached to its output and does not read; at most `killPatience`, when it is given up.
    func killWithStuckReader(_ container: String) async throws -> Double {
        try await curl.withResponse(to: request("POST", "/containers/\(container)/attach?stream=1&stdout=1", nil)) { _ in
            // What nobody reads: the pipes between fill up and the engine waits.
            try await Task.sleep(for: .milliseconds(500))
            return try await milliseconds {
                do {
                    _ = try await curl.send(request("POST", "/containers/\(container)/kill", nil, patience: Self.killPatience))
                } catch let error as CurlError where error.code == .timedOut {}
            }
        }
    }

    // MARK: Execs

    private struct ExecBody: Encodable {
        let cmd: [String]
        let attachStdout = true
        let attachStderr = true
    }
    private struct StartBody: Encodable {
        let detach = false
        let tty = false
    }
    private struct ExecState: Decodable {
        let exitCode: Int32?
        let running: Bool
    }

    /// Creates an exec, starts it, reads its output to the end and asks for its exit code: what a caller of the API has to do.
    func exec(in container: String, _ command: [String]) async throws {
        let body = try DockerJSON.encode(ExecBody(cmd: command))
        let id = try DockerJSON.decode(Created.self, from: try await call("POST", "/containers/\(container)/exec", body)).id
        try await call("POST", "/exec/\(id)/start", try DockerJSON.encode(StartBody()))
        let state = try DockerJSON.decode(ExecState.self, from: try await call("GET", "/exec/\(id)/json"))
        guard !state.running, state.exitCode == 0 else { throw Failure(description: "the exec ended with \(state)") }
    }
}
