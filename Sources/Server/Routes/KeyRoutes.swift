import ExecboxAPI
import ExecboxCore
import ExecboxModel
import HTTPTypes
import Hummingbird

/// `/v1/account/keys`: the API keys of the caller's account (PROTOCOL §6).
struct KeyRoutes {
    let keys: Keys
    let once: IdempotentRoute

    func add(to routes: RouteTable) {
        routes.on("account/keys", [.get: list, .post: create], scopes: .keys)
        routes.on("account/keys/:id", [.get: get, .put: update, .delete: delete], scopes: .keys)
        routes.on("account/keys/:id/rotate", [.post: rotate], scopes: .keys)
    }

    private func list(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        return try .json(KeyListBody(keys: try await keys.list(of: context.caller).map { KeyBody($0) }))
    }

    private func create(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let bytes = try await request.bytes()
        let body = try CreateKeyBody(json: bytes)
        let change = KeyChange(body)
        let caller = try context.caller
        return try await once(request, context, body: bytes) { claim in
            let (text, key) = try await keys.create(change, by: caller, idempotency: claim)
            return try .json(KeyBody(key, text: text), status: .created)
        } again: { id in
            // The secret is shown once.
            try .json(KeyBody(try await keys.key(id, of: caller)), status: .created)
        }
    }

    private func get(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        return try .json(KeyBody(try await keys.key(context.parameter("id"), of: context.caller)))
    }

    private func update(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let body = try UpdateKeyBody(json: try await request.bytes())
        return try .json(KeyBody(try await keys.update(context.parameter("id"), KeyChange(body), by: context.caller)))
    }

    private func rotate(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let bytes = try await request.bytes()
        let body = try RotateKeyBody(json: bytes)
        let caller = try context.caller
        let id = try context.parameter("id")
        return try await once(request, context, body: bytes) { claim in
            let (text, key) = try await keys.rotate(id, graceSeconds: body.graceSeconds, by: caller, idempotency: claim)
            return try .json(KeyBody(key, text: text))
        } again: { id in
            try .json(KeyBody(try await keys.key(id, of: caller)))
        }
    }

    private func delete(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        try await keys.delete(context.parameter("id"), by: context.caller)
        return Response(status: .noContent)
    }
}

extension KeyChange {
    init(_ body: CreateKeyBody) {
        self.init()
        name = body.name
        scopes = body.scopes
        description = body.description
        expiresAt = body.expiresAt
        sessionsPerDay = body.customDailyLimit
        concurrentSessions = body.customConcurrentLimit
        requestsPerSecond = body.customRateLimit
    }

    fileprivate init(_ body: UpdateKeyBody) {
        self.init()
        name = body.name
        isActive = body.isActive
        scopes = body.scopes
        description = body.description
        expiresAt = body.expiresAt
        sessionsPerDay = body.customDailyLimit
        concurrentSessions = body.customConcurrentLimit
        requestsPerSecond = body.customRateLimit
    }
}

extension KeyBody {
    init(_ key: Key, text: String? = nil) {
        self.init(
            id: key.id.description, key: text, keyPreview: key.preview, name: key.name, description: key.description,
            isActive: key.isActive, scopes: key.scopes.sorted(), customDailyLimit: key.sessionsPerDay,
            customConcurrentLimit: key.concurrentSessions, customRateLimit: key.requestsPerSecond, createdAt: key.createdAt,
            expiresAt: key.expiresAt,
            lastUsedAt: key.lastUsedAt)
    }
}
