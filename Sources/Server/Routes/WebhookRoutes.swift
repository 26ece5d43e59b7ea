import ExecboxAPI
import ExecboxCore
import ExecboxModel
import HTTPTypes
import Hummingbird

/// `/v1/account/webhooks`: where the account is told of what happens.
struct WebhookRoutes {
    let webhooks: Webhooks
    let once: IdempotentRoute

    func add(to routes: RouteTable) {
        routes.on("account/webhooks", [.get: list, .post: create], scopes: .keys)
        routes.on("account/webhooks/:id", [.get: get, .patch: update, .delete: delete], scopes: .keys)
        routes.on("account/webhooks/:id/deliveries", [.get: deliveries], scopes: .keys)
        routes.on("account/webhooks/:id/deliveries/:delivery/redeliver", [.post: redeliver], scopes: .keys)
    }

    private func list(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        return try .json(PageBody(items: try await webhooks.list(of: context.caller).map { WebhookBody($0) }))
    }

    private func create(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let bytes = try await request.bytes()
        let body = try ChangeWebhookBody(json: bytes, isNew: true)
        let caller = try context.caller
        return try await once(request, context, body: bytes) { claim in
            let (secret, webhook) = try await webhooks.create(
                url: body.url ?? "", events: Set(body.events ?? []), by: caller, idempotency: claim)
            return try .json(WebhookBody(webhook, secret: secret), status: .created)
        } again: { id in
            try .json(WebhookBody(try await webhooks.webhook(id, of: caller)), status: .created)
        }
    }

    private func get(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        return try .json(WebhookBody(try await webhooks.webhook(context.parameter("id"), of: context.caller)))
    }

    private func update(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let body = try ChangeWebhookBody(json: try await request.bytes(), isNew: false)
        var change = WebhookChange()
        change.url = body.url
        change.events = body.events.map { Set($0) }
        change.isActive = body.isActive
        return try .json(WebhookBody(try await webhooks.update(context.parameter("id"), change, by: context.caller)))
    }

    private func delete(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        try await webhooks.delete(context.parameter("id"), by: context.caller)
        return Response(status: .noContent)
    }

    private func deliveries(_ request: Request, _ context: ServerContext) async throws -> Response {
        let query = try AdminQuery(request.queryItems())
        let (deliveries, next) = try await webhooks.deliveries(
            of: context.parameter("id"), by: context.caller, before: query.cursor, limit: query.limit)
        return try .json(PageBody(items: deliveries.map(WebhookDeliveryBody.init), nextCursor: next))
    }

    private func redeliver(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let bytes = try await request.bytes()
        let caller = try context.caller
        let (id, delivery) = (try context.parameter("id"), try context.parameter("delivery"))
        return try await once(request, context, body: bytes) { claim in
            let again = try await webhooks.redeliver(delivery, of: id, by: caller, idempotency: claim)
            return try .json(WebhookDeliveryBody(again), status: .accepted)
        } again: { _ in
            try .json(WebhookDeliveryBody(try await webhooks.delivery(delivery, of: id, by: caller)), status: .accepted)
        }
    }
}

extension Set<WebhookEvent> {
    fileprivate init(_ events: [ChangeWebhookBody.Event]) { self.init(events.compactMap { WebhookEvent(rawValue: $0.rawValue) }) }
}

extension WebhookBody {
    fileprivate init(_ webhook: Webhook, secret: String? = nil) {
        self.init(
            id: webhook.id.description, url: webhook.url, events: webhook.events.map(\.rawValue).sorted(), isActive: webhook.isActive,
            createdAt: webhook.createdAt, secret: secret)
    }
}

extension WebhookDeliveryBody {
    fileprivate init(_ delivery: WebhookDelivery) {
        self.init(
            id: delivery.id, event: delivery.event, status: delivery.status.rawValue, attempts: delivery.attempts,
            createdAt: delivery.createdAt)
        nextAttemptAt = delivery.nextAttemptAt
        lastStatus = delivery.lastStatus
        lastError = delivery.lastError
        endedAt = delivery.endedAt
    }
}
