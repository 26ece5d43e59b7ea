import ExecboxAPI
import ExecboxCore
import ExecboxModel
import HTTPTypes
import Hummingbird

/// `/v1/admin`: accounts, their keys, tiers, prices, requests for more, the whole audit log and the drift report (PROTOCOL §6).
struct AdminRoutes {
    let administration: Administration
    let keys: Keys
    let once: IdempotentRoute

    func add(to routes: RouteTable) {
        routes.on("admin/accounts", [.get: accounts, .post: createAccount], scopes: .admin)
        routes.on("admin/accounts/:id", [.get: account, .patch: updateAccount], scopes: .admin)
        routes.on("admin/accounts/:id/keys", [.get: listKeys, .post: createKey], scopes: .admin)
        routes.on("admin/accounts/:id/keys/:key", [.delete: deleteKey], scopes: .admin)
        routes.on("admin/tiers", [.get: tiers], scopes: .admin)
        routes.on("admin/tiers/:name", [.put: putTier, .delete: deleteTier], scopes: .admin)
        routes.on("admin/prices", [.get: prices, .post: addPrice], scopes: .admin)
        routes.on("admin/prices/:valid_from", [.delete: deletePrice], scopes: .admin)
        routes.on("admin/quota-requests", [.get: quotaRequests], scopes: .admin)
        routes.on("admin/quota-requests/:id", [.patch: decide], scopes: .admin)
        routes.on("admin/audit", [.get: audit], scopes: .admin)
        routes.on("admin/drift", [.get: drift], scopes: .admin)
    }

    private func actor(_ context: ServerContext) throws -> AuditActor { .key(try context.caller.keyID) }

    // MARK: Accounts

    private func accounts(_ request: Request, _ context: ServerContext) async throws -> Response {
        let query = try AdminQuery(request.queryItems(), filters: ["name", "email"])
        let after = try query.cursor.map { text in
            guard let id = AccountID(text) else { throw ExecboxError.invalid("cursor", "cursor is not one that this server made") }
            return id
        }
        let page = try await administration.accounts(name: query.name, email: query.email, after: after, limit: query.limit)
        return try .json(PageBody(items: page.elements.map(AdminAccountBody.init), nextCursor: page.next.map { "\($0)" }))
    }

    private func account(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        return try .json(AdminAccountBody(try await administration.account(context.parameter("id"))))
    }

    private func createAccount(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let bytes = try await request.bytes()
        let change = AccountChange(try AdminChangeAccountBody(json: bytes, isNew: true))
        let actor = try actor(context)
        return try await once(request, context, body: bytes) { claim in
            let account = try await administration.createAccount(change, by: actor, idempotency: claim)
            return try .json(AdminAccountBody(account), status: .created)
        } again: { id in
            try .json(AdminAccountBody(try await administration.account(id)), status: .created)
        }
    }

    private func updateAccount(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let change = AccountChange(try AdminChangeAccountBody(json: try await request.bytes(), isNew: false))
        let account = try await administration.updateAccount(context.parameter("id"), change, by: actor(context))
        return try .json(AdminAccountBody(account))
    }

    private func listKeys(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let account = try await administration.account(context.parameter("id"))
        return try .json(KeyListBody(keys: try await keys.list(ofAccount: account.id).map { KeyBody($0) }))
    }

    private func createKey(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let bytes = try await request.bytes()
        let change = KeyChange(try CreateKeyBody(json: bytes))
        let account = try await administration.account(context.parameter("id"))
        let actor = try actor(context)
        return try await once(request, context, body: bytes) { claim in
            let (text, key) = try await keys.create(change, ofAccount: account.id, by: actor, idempotency: claim)
            return try .json(KeyBody(key, text: text), status: .created)
        } again: { id in
            try .json(KeyBody(try await keys.key(anybodys: id)), status: .created)
        }
    }

    private func deleteKey(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let account = try await administration.account(context.parameter("id"))
        let key = try await keys.key(anybodys: context.parameter("key"))
        guard key.accountID == account.id, try await keys.revoke(key.publicID, by: actor(context)) else { throw Keys.notFound }
        return Response(status: .noContent)
    }

    // MARK: Tiers and prices

    private func tiers(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        return try .json(PageBody(items: try await administration.allTiers().map(TierBody.init)))
    }

    private func putTier(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let body = try TierBody(name: context.parameter("name"), json: try await request.bytes())
        return try .json(TierBody(try await administration.putTier(Tier(body), by: actor(context))))
    }

    private func deleteTier(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        try await administration.deleteTier(context.parameter("name"), by: actor(context))
        return Response(status: .noContent)
    }

    private func prices(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        return try .json(PageBody(items: try await administration.allPrices().map(PriceBody.init)))
    }

    private func addPrice(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let bytes = try await request.bytes()
        let price = Price(try PriceBody(json: bytes))
        let actor = try actor(context)
        return try await once(request, context, body: bytes) { claim in
            let added = try await administration.addPrice(price, by: actor, idempotency: claim)
            return try .json(PriceBody(added), status: .created)
        } again: { moment in
            let prices = try await administration.allPrices()
            guard let price = prices.first(where: { $0.validFrom.text == moment }) else {
                throw ExecboxError(.gone, "the price of \(moment) was taken back")
            }
            return try .json(PriceBody(price), status: .created)
        }
    }

    private func deletePrice(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let text = try context.parameter("valid_from")
        guard let moment = Timestamp(text) else { throw ExecboxError(.notFound, "no price begins at \(text.prefix(64))") }
        try await administration.deletePrice(validFrom: moment, by: actor(context))
        return Response(status: .noContent)
    }

    // MARK: Requests, log, drift

    private func quotaRequests(_ request: Request, _ context: ServerContext) async throws -> Response {
        let query = try AdminQuery(request.queryItems(), filters: ["status"])
        let status = query.status.flatMap { QuotaRequest.Status(rawValue: $0.rawValue) }
        let page = try await administration.quotaRequests(status, before: query.number, limit: query.limit)
        return try .json(PageBody(items: page.elements.map { QuotaRequestBody($0) }, nextCursor: page.next.map { "\($0)" }))
    }

    private func decide(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let body = try DecideBody(json: try await request.bytes())
        guard let id = Int64(try context.parameter("id")), let status = QuotaRequest.Status(rawValue: body.status.rawValue) else {
            throw ExecboxError(.notFound, "no such quota request")
        }
        return try .json(QuotaRequestBody(try await administration.decide(id, status, by: actor(context))))
    }

    private func audit(_ request: Request, _ context: ServerContext) async throws -> Response {
        let query = try AdminQuery(request.queryItems())
        let page = try await administration.auditLog(before: query.number, limit: query.limit)
        return try .json(AuditBody(entries: page.elements.map(AuditBody.Entry.init), nextCursor: page.next.map { "\($0)" }))
    }

    private func drift(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let checks = try await administration.drift()
        return try .json(
            DriftBody(checks: checks.map { .init(name: $0.name, differences: $0.differences, examples: $0.examples) }))
    }
}

extension AccountChange {
    fileprivate init(_ body: AdminChangeAccountBody) {
        self.init()
        name = body.name
        email = body.email
        tier = body.tier
        tierExpiresAt = body.tierExpiresAt
    }
}

extension AdminAccountBody {
    fileprivate init(_ account: Account) {
        self.init(
            id: account.id.description, name: account.name, email: account.email, tier: account.tier.name,
            tierExpiresAt: account.tierExpiresAt, limits: AccountLimitsBody(account), createdAt: account.createdAt)
    }
}

extension TierBody {
    fileprivate init(_ tier: Tier) {
        self.init(name: tier.name, requestsPerSecond: tier.requestsPerSecond)
        sessionsPerDay = tier.sessionsPerDay
        concurrentSessions = tier.concurrentSessions
        maxDurationMs = tier.maxDurationMs
        maxMemoryMB = tier.maxMemoryMB
        maxCPUMillis = tier.maxCPUMillis
    }
}

extension Tier {
    fileprivate init(_ body: TierBody) {
        self.init(
            name: body.name, sessionsPerDay: body.sessionsPerDay, concurrentSessions: body.concurrentSessions,
            maxDurationMs: body.maxDurationMs, maxMemoryMB: body.maxMemoryMB, maxCPUMillis: body.maxCPUMillis,
            requestsPerSecond: body.requestsPerSecond)
    }
}

extension PriceBody {
    fileprivate init(_ price: Price) {
        self.init(
            validFrom: price.validFrom, microsPerSession: price.microsPerSession, microsPerCPUSecond: price.microsPerCPUSecond,
            microsPerGigabyteSecond: price.microsPerGigabyteSecond)
    }
}

extension Price {
    fileprivate init(_ body: PriceBody) {
        self.init(
            validFrom: body.validFrom ?? .now, microsPerSession: body.microsPerSession, microsPerCPUSecond: body.microsPerCPUSecond,
            microsPerGigabyteSecond: body.microsPerGigabyteSecond)
    }
}
