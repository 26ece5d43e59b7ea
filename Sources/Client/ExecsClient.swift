import ExecboxAPI
import ExecboxModel
import NIOCore
import NIOHTTP1

/// Processes started in running sessions. Every call throws `ExecboxClientError`, or a cancellation.
public struct ExecsClient: Sendable {
    let transport: Transport

    private func path(_ session: String, _ more: String) -> String { "/v1/sessions/\(session.percentEncoded)/\(more)" }

    /// Runs a command to its end and gives all of its output, cut in the middle if it is long. A command that fails is a result, no error.
    public func run(in session: String, _ body: ExecBody) async throws -> ExecResultBody {
        var body = body
        body.detach = nil
        let timeout: TimeAmount = body.timeoutMs.map { .milliseconds($0) + .seconds(90) } ?? .hours(24 * 365)
        return try await transport.send(.POST, path(session, "exec"), body: body, timeout: timeout)
    }

    /// Starts a command that nobody has to watch.
    ///
    /// - Returns: its id.
    public func start(in session: String, _ body: ExecBody) async throws -> String {
        var body = body
        body.detach = true
        return try await transport.send(.POST, path(session, "exec"), body: body, as: ExecStartedBody.self).id
    }

    public func list(in session: String) async throws -> [ExecStateBody] {
        try await transport.send(.GET, path(session, "execs"), as: ExecListBody.self).execs
    }

    public func get(_ id: String, in session: String) async throws -> ExecStateBody {
        try await transport.send(.GET, path(session, "execs/\(id.percentEncoded)"))
    }

    /// To the whole process group.
    public func signal(_ id: String, in session: String, _ signal: String) async throws {
        _ = try await transport.collect(
            try await transport.execute(.POST, path(session, "execs/\(id.percentEncoded)/signal"), body: SignalBody(signal: signal)))
    }

    public func kill(_ id: String, in session: String) async throws {
        _ = try await transport.collect(try await transport.execute(.DELETE, path(session, "execs/\(id.percentEncoded)")))
    }

    /// Starts a command, or with an id and no command finds one, and streams it. Returns once it has started.
    ///
    /// - Parameter query: `stream.offset` is where to begin; the environment cannot be given here, because URLs are logged: use `start` and
    ///   then stream by id.
    public func stream(in session: String, _ query: ExecQuery, resume: ResumePolicy = .init()) async throws -> ExecStream {
        try await ExecStream.open(transport: transport, offset: query.stream.offset, resume: resume) { offset, execID in
            var query = query
            query.stream.offset = offset
            // Started already: only attach, so that nothing is started twice.
            if let execID {
                query.id = execID
                query.command = []
                query.workDir = nil
                query.user = nil
                query.tty = nil
                query.timeoutMs = nil
                query.detach = false
            }
            return path(session, "exec").withQuery(query.items)
        }
    }
}
