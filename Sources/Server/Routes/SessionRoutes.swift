import ExecboxAPI
import ExecboxCore
import ExecboxModel
import ExecboxWire
import HTTPTypes
import Hummingbird

/// `/v1/sessions` and what belongs to one session but its streams (PROTOCOL §2).
struct SessionRoutes {
    static let maxCreateBodyBytes = 32 << 20

    let sessions: Sessions
    let presenter: SessionPresenter
    let once: IdempotentRoute
    private let rendered = RenderedSessions()

    init(sessions: Sessions, presenter: SessionPresenter, once: IdempotentRoute) {
        self.sessions = sessions
        self.presenter = presenter
        self.once = once
    }

    func add(to routes: RouteTable) {
        routes.on("sessions", [.post: create, .get: list], scopes: .sessions)
        routes.on("sessions/:id", [.get: get, .patch: patch, .delete: kill], scopes: .sessions)
        routes.on("sessions/:id/stop", [.post: stop], scopes: .sessions)
        routes.on("sessions/:id/wait", [.get: wait], scopes: .sessions)
        routes.on("sessions/:id/stats", [.get: statistics], scopes: .sessions)
        routes.on("sessions/:id/url", [.get: url], scopes: .sessions)
    }

    private func create(_ request: Request, _ context: ServerContext) async throws -> Response {
        let caller = try context.caller
        try QueryReader(request.queryItems()).finish()
        let wait = try request.preferredWait()
        let bytes = try await request.bytes(limit: Self.maxCreateBodyBytes)
        let new = try NewSession(try CreateSessionBody(json: bytes))
        return try await once(request, context, body: bytes) { claim in
            let session = try await sessions.create(new, by: caller, wait: wait, idempotency: claim)
            return try .json(presenter.body(session), status: .created)
        } again: { id in
            try .json(presenter.body(try await sessions.created(id, by: caller, wait: wait)), status: .created)
        }
    }

    private func list(_ request: Request, _ context: ServerContext) async throws -> Response {
        let query = try ListSessionsQuery(request.queryItems())
        let page = try await sessions.list(
            of: context.caller,
            statuses: query.statuses,
            labels: query.labels,
            cursor: query.cursor,
            limit: query.limit
        )
        return try .json(SessionListBody(sessions: page.sessions.map(presenter.body), nextCursor: page.nextCursor))
    }

    private func get(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let found = try await sessions.versioned(context.parameter("id"), of: context.caller)
        return .json(bytes: try rendered.bytes(of: found) { try presenter.body($0).json() })
    }

    private func patch(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let body = try PatchSessionBody(json: try await request.bytes())
        let session = try await sessions.patch(
            context.parameter("id"),
            of: context.caller,
            labels: body.labels,
            timeoutMs: body.timeoutMs
        )
        return try .json(presenter.body(session))
    }

    private func stop(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let bytes = try await request.bytes()
        let body = try StopSessionBody(json: bytes)
        let caller = try context.caller
        let id = try context.parameter("id")
        return try await once(request, context, body: bytes) { claim in
            let session = try await sessions.stop(id, of: caller, graceMs: body.graceMs, idempotency: claim)
            return try Self.stopped(session)
        } again: { id in
            try Self.stopped(try await sessions.stopping(id, of: caller))
        }
    }

    private static func stopped(_ session: Session) throws -> Response {
        // A session cancelled before it ran says killed; every other answer to a stop is stopped, whoever was faster.
        try .json(StatusBody(status: session.startedAt == nil ? session.status.rawValue : SessionStatus.stopped.rawValue))
    }

    private func kill(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        _ = try await sessions.kill(context.parameter("id"), of: context.caller)
        return try .json(StatusBody(status: SessionStatus.killed.rawValue))
    }

    private func wait(_ request: Request, _ context: ServerContext) async throws -> Response {
        let query = try WaitQuery(request.queryItems())
        let session = try await sessions.wait(context.parameter("id"), of: context.caller, timeoutMs: query.timeoutMs)
        return try .json(presenter.body(session))
    }

    private func statistics(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let now = try await sessions.statistics(context.parameter("id"), of: context.caller)
        return try .json(
            StatsBody(
                cpuMs: Int64(clamping: now.cpuMicroseconds / 1000),
                memoryBytes: Int64(clamping: now.memoryBytes),
                memoryPeakBytes: Int64(clamping: now.memoryPeakBytes),
                memoryLimitBytes: Int64(clamping: now.memoryLimitBytes),
                pids: Int64(now.processCount),
                networkReceivedBytes: Int64(clamping: now.networkReceivedBytes),
                networkSentBytes: Int64(clamping: now.networkSentBytes),
                oomKills: Int64(now.oomKills),
                uptimeMs: Int64(clamping: now.uptimeMicroseconds / 1000)
            )
        )
    }

    private func url(_ request: Request, _ context: ServerContext) async throws -> Response {
        let query = try URLQuery(request.queryItems())
        let session = try await sessions.session(context.parameter("id"), of: context.caller)
        guard let port = session.ports.first(where: { $0.spec.container == query.port }) else {
            throw ExecboxError(.notFound, "port \(query.port) is not exposed by this session")
        }
        guard let hostPort = port.hostPort, !session.status.isTerminal else {
            throw ExecboxError(.conflict, "session is \(session.status.rawValue), its ports are not reachable")
        }
        return try .json(
            URLBody(
                containerPort: port.spec.container,
                hostPort: hostPort,
                url: presenter.url(hostPort: hostPort),
                transport: port.spec.transport
            )
        )
    }
}

extension Request {
    /// `Prefer: wait=N` (RFC 7240), 0-60 s; other preferences are ignored, as the RFC asks.
    fileprivate func preferredWait() throws -> Int64? {
        guard let name = HTTPField.Name("Prefer") else { return nil }
        for preference in headers[values: name].flatMap({ $0.split(separator: ",") }) {
            let parts = preference.filter { $0 != " " && $0 != "\"" }.split(separator: "=", maxSplits: 1)
            guard parts.first?.lowercased() == "wait" else { continue }
            guard parts.count == 2, let seconds = Int64(parts[1]), (0...60).contains(seconds) else {
                throw ExecboxError.invalid("Prefer", "Prefer: wait= takes a number of seconds from 0 to 60")
            }
            return seconds
        }
        return nil
    }
}

extension NewSession {
    fileprivate init(_ body: CreateSessionBody) throws {
        if body.setup?.isEmpty == false || body.files?.isEmpty == false {
            let field = body.setup?.isEmpty == false ? "setup" : "files"
            throw ExecboxError(
                .notImplemented,
                "\(field) is not offered by this server: bake it into the image",
                details: ["field": .text(field)]
            )
        }
        self.init(image: body.image, command: body.command ?? [])
        environment = (body.env ?? [:]).sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
        workDir = body.workDir
        user = body.user
        labels = body.labels ?? [:]
        network = body.network ?? .outgoing
        ports = body.ports ?? []
        pull = body.pull == .always ? .always : .missing
        terminal = body.tty.map { Session.Terminal(columns: $0.columns, rows: $0.rows) }
        opensStdin = body.stdin ?? true
        backend = body.backend
        guard let resources = body.resources else { return }
        cpuMillis = resources.cpuMillis
        memoryMB = resources.memoryMB
        diskMB = resources.diskMB
        pids = resources.pids
        timeoutMs = resources.timeoutMs
        idleTimeoutMs = resources.idleTimeoutMs
        diskReadBps = resources.diskReadBps
        diskWriteBps = resources.diskWriteBps
        diskReadIops = resources.diskReadIops
        diskWriteIops = resources.diskWriteIops
    }
}
