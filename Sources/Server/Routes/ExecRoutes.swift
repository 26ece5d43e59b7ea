import ExecboxAPI
import ExecboxCore
import ExecboxModel
import ExecboxWire
import HTTPTypes
import Hummingbird

/// Execs over plain HTTP (PROTOCOL §3): buffered, listed, signalled.
struct ExecRoutes {
    static let defaultMaxOutputBytes: Int64 = 1 << 20

    let sessions: Sessions
    let execs: Execs

    func add(to routes: RouteTable, stream: @escaping RouteTable.Stream) {
        routes.on("sessions/:id/exec", [.post: run], scopes: RouteScopes(reading: .sessionsWrite, writing: .sessionsWrite), stream: stream)
        routes.on("sessions/:id/execs", [.get: list], scopes: .sessions)
        routes.on("sessions/:id/execs/:exec", [.get: get, .delete: kill], scopes: .sessions)
        routes.on("sessions/:id/execs/:exec/signal", [.post: signal], scopes: .sessions)
    }

    private func run(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let body = try ExecBody(json: try await request.bytes())
        let session = try await sessions.running(context.parameter("id"), of: context.caller)
        var exec = Execs.Request(command: body.command)
        exec.environment = (body.env ?? [:]).sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
        exec.workDir = body.workDir
        exec.user = body.user
        exec.terminal = body.tty.map { Session.Terminal(columns: $0.columns, rows: $0.rows) }
        exec.timeoutMs = body.timeoutMs
        exec.id = body.id
        exec.isDetached = body.detach ?? false
        if exec.isDetached {
            guard body.stdin == nil else { throw ExecboxError.invalid("stdin", "stdin is not taken with detach") }
            let id = try await execs.start(exec, in: session, fields: .body, isReaderComing: false)
            return try .json(ExecStartedBody(id: id), status: .accepted)
        }
        let result = try await execs.run(
            exec,
            stdin: Array((body.stdin ?? "").utf8),
            maxOutputBytes: Int(body.maxOutputBytes ?? Self.defaultMaxOutputBytes),
            in: session
        )
        return try .json(ExecResultBody(result))
    }

    private func list(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let session = try await sessions.running(context.parameter("id"), of: context.caller)
        return try .json(ExecListBody(execs: try await execs.list(in: session).map(ExecStateBody.init)))
    }

    private func get(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let session = try await sessions.running(context.parameter("id"), of: context.caller)
        return try .json(ExecStateBody(try await execs.exec(context.parameter("exec"), in: session)))
    }

    private func signal(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let body = try SignalBody(json: try await request.bytes())
        let session = try await sessions.running(context.parameter("id"), of: context.caller)
        try await execs.signal(context.parameter("exec"), body.signal, in: session)
        return try .json(StatusBody(status: "signaled"))
    }

    private func kill(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let session = try await sessions.running(context.parameter("id"), of: context.caller)
        try await execs.signal(context.parameter("exec"), "SIGKILL", in: session)
        return try .json(StatusBody(status: SessionStatus.killed.rawValue))
    }
}

extension ExitReport {
    /// As PROTOCOL §3 names it.
    var reason: String {
        switch cause {
        case .exited: EndReason.exited.rawValue
        case .signaled: EndReason.signaled.rawValue
        case .timeout: EndReason.timeout.rawValue
        case .outOfMemory: EndReason.oomKilled.rawValue
        }
    }
}

extension ExecStateBody {
    fileprivate init(_ report: ProcessReport) {
        self.init(
            id: report.processID,
            state: report.exit == nil ? .running : .ended,
            exitCode: report.exit?.exitCode,
            signal: report.exit.flatMap { $0.signal.isEmpty ? nil : $0.signal },
            reason: report.exit?.reason,
            stdoutBytes: Int64(clamping: report.stdoutBytes),
            stderrBytes: Int64(clamping: report.stderrBytes),
            durationMs: Int64(clamping: (report.exit?.elapsedMicroseconds ?? report.elapsedMicroseconds) / 1000)
        )
    }
}

extension ExecResultBody {
    fileprivate init(_ result: Execs.Result) {
        self.init(
            id: result.id,
            exitCode: result.report?.exitCode,
            signal: result.report.flatMap { $0.signal.isEmpty ? nil : $0.signal },
            reason: result.isSessionEnded ? "session_ended" : result.report?.reason ?? "session_ended",
            stdout: result.stdout.bytes,
            stderr: result.stderr.bytes,
            stdoutBytes: result.stdout.total,
            stderrBytes: result.stderr.total,
            truncated: result.stdout.isTruncated || result.stderr.isTruncated,
            durationMs: result.elapsedMs
        )
    }
}
