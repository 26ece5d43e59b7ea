import ExecboxAPI
import ExecboxClient
import ExecboxModel
import ExecboxTestSupport

/// A backend under test, as the conformance suite sees it: a server that answers the public API, and an image to use.
struct ConformanceSubject: Sendable {
    let name: String
    let client: ExecboxClient
    /// Has a shell and the usual small tools.
    let image: String
    let networks: Set<NetworkMode>

    /// Runs `body` against every backend that this test run has.
    static func each(_ body: @escaping @Sendable (ConformanceSubject) async throws -> Void) async throws {
        try await ServerProcess.with { server in
            let client = try ExecboxClient(url: "http://127.0.0.1:\(server.port)", apiKey: server.key)
            try await body(
                ConformanceSubject(name: "docker", client: client, image: server.engine.imageName, networks: [.none, .outgoing, .exposed]))
        }
    }

    func body(_ command: [String], _ change: (inout CreateSessionBody) -> Void = { _ in }) -> CreateSessionBody {
        var body = CreateSessionBody(image: image)
        body.command = command
        body.network = NetworkMode.none
        change(&body)
        return body
    }

    /// A session that runs, or has ended already.
    func create(_ command: [String], _ change: (inout CreateSessionBody) -> Void = { _ in }) async throws -> SessionBody {
        try await client.sessions.create(body(command, change))
    }

    /// A session that does nothing but wait.
    func idle(_ change: (inout CreateSessionBody) -> Void = { _ in }) async throws -> SessionBody {
        try await create(["sleep", "600"], change)
    }

    /// A session from its start to its end.
    func run(_ command: [String], _ change: (inout CreateSessionBody) -> Void = { _ in }) async throws -> SessionBody {
        let session = try await create(command, change)
        return try await client.sessions.wait(session.id)
    }

    func output(of session: SessionBody) async throws -> String {
        String(decoding: try await client.sessions.logs(session.id).bytes, as: UTF8.self)
    }
}
