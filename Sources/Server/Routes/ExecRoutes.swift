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
    let once: IdempotentRoute

    func add(to routes: RouteTable, stream: @escaping RouteTable.Stream) {
        routes.on("sessions/:id/exec", [.post: run], scopes: RouteScopes(reading: .sessionsWrite, writing: .sessionsWrite), stream: stream)
        routes.on("sessions/:id/execs", [.get: list], scopes: .sessions)
        routes.on("sessions/:id/execs/:exec", [.get: get, .delete: kill], scopes: .sessions)
        routes.on("sessions/:id/execs/:exec/signal", [.post: signal], scopes: .sessions)
    }

    private func run(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let bytes = try await request.bytes()
        let body = try ExecBody(json: bytes)
        if body.detach == true, body.stdin != nil { throw ExecboxError.invalid("stdin", "stdin is not taken with detach") }
        let caller = try context.caller
        let id = try context.parameter("id")
        let maxOutputBytes = Int(body.maxOutputBytes ?? Self.defaultMaxOutputBytes)
        return try await once(request, context, body: bytes) { claim in
            try await run(body, in: try await sessions.running(id, of: caller), maxOutputBytes: maxOutputBytes, claim)
        } again: { execID in
            if body.detach == true { return try .json(ExecStartedBody(id: execID), status: .accepted) }
            let session = try await sessions.session(id, of: caller)
            return try .json(ExecResultBody(try await execs.result(of: execID, maxOutputBytes: maxOutputBytes, in: session)))
        }
    }

    private func run(_ body: ExecBody, in session: Session, maxOutputBytes: Int, _ claim: IdempotencyClaim?) async throws -> Response {
        var exec = Execs.Request(command: body.command)
        exec.environment = (body.env ?? [:]).sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
        exec.workDir = body.workDir
        exec.user = body.user
        exec.terminal = body.tty.map { Session.Terminal(columns: $0.columns, rows: $0.rows) }
        exec.timeoutMs = body.timeoutMs
        exec.id = body.id ?? claim?.request.execID
        exec.isDetached = body.detach ?? false
        if exec.isDetached {
            let id = try await execs.start(exec, in: session, fields: .body, isReaderComing: false)
            try await once.record(claim, resource: id)
            return try .json(ExecStartedBody(id: id), status: .accepted)
        }
        if claim != nil, body.stdin?.isEmpty == false, let id = exec.id,
            try await execs.list(in: session).contains(where: { $0.processID == id && $0.exit == nil })
        {
            // How much of its stdin it got is not known: it can neither be fed again nor be left to wait.
            throw ExecboxError(
                .conflict, "the exec \(id) runs since a request that was lost while it sent stdin; signal it or attach to it")
        }
        let result = try await execs.run(
            exec,
            stdin: Array((body.stdin ?? "").utf8),
            maxOutputBytes: maxOutputBytes,
            in: session
        )
        try await once.record(claim, resource: result.id)
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
        let bytes = try await request.bytes()
        let body = try SignalBody(json: bytes)
        let caller = try context.caller
        let (id, exec) = (try context.parameter("id"), try context.parameter("exec"))
        return try await once(request, context, body: bytes) { claim in
            try await execs.signal(exec, body.signal, in: try await sessions.running(id, of: caller))
            try await once.record(claim, resource: exec)
            return try .json(StatusBody(status: "signaled"))
        } again: { _ in
            try .json(StatusBody(status: "signaled"))
        }
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
            truncated: result.stdout.isTruncated || result.stderr.isTruncated || result.missing > 0,
            durationMs: result.elapsedMs
        )
    }
}
