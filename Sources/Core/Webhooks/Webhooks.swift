import ExecboxModel

/// The rules of webhooks.
package struct Webhooks: Sendable {
    package static let mostPerAccount = 20

    private let store: WebhookStore
    private let seal: SecretSeal

    package init(store: WebhookStore, seal: SecretSeal) {
        self.store = store
        self.seal = seal
    }

    package func list(of caller: Caller) async throws -> [Webhook] { try await store.webhooks(of: caller.accountID) }

    package func webhook(_ id: String, of caller: Caller) async throws -> Webhook {
        guard let id = WebhookID(id), let webhook = try await store.webhook(id, of: caller.accountID) else { throw Self.notFound }
        return webhook
    }

    /// - Throws: `forbidden` for an event of which the caller may see nothing.
    /// - Returns: the webhook, and the secret its deliveries are signed with, which cannot be had again.
    package func create(
        url: String, events: Set<WebhookEvent>, by caller: Caller, idempotency: IdempotencyClaim?
    ) async throws -> (secret: String, webhook: Webhook) {
        for event in events { try caller.require(event.scope) }
        let id = WebhookID.make(unixMilliseconds: UInt64(clamping: Timestamp.now.unixMicroseconds / 1000))
        let secret = APIKey.makeWebhookSecret()
        let webhook = Webhook(id: id, accountID: caller.accountID, url: url, events: events, isActive: true, createdAt: .now)
        let stored = try await store.insert(
            webhook, secretSealed: try seal.seal(Array(secret.utf8), context: id.description), most: Self.mostPerAccount,
            by: .key(caller.keyID), idempotency: idempotency)
        return (secret, stored)
    }

    package func update(_ id: String, _ change: WebhookChange, by caller: Caller) async throws -> Webhook {
        guard let id = WebhookID(id) else { throw Self.notFound }
        let webhook = try await store.update(id, of: caller.accountID, change, by: .key(caller.keyID)) { events in
            // Also where only the address is another one.
            for event in events { try caller.require(event.scope) }
        }
        guard let webhook else { throw Self.notFound }
        return webhook
    }

    package func delete(_ id: String, by caller: Caller) async throws {
        guard let id = WebhookID(id), try await store.delete(id, of: caller.accountID, by: .key(caller.keyID)) else { throw Self.notFound }
    }

    /// Newest first.
    package func deliveries(
        of id: String, by caller: Caller, before: String?, limit: Int
    ) async throws -> (deliveries: [WebhookDelivery], next: String?) {
        let webhook = try await webhook(id, of: caller)
        let found = try await store.deliveries(of: webhook.id, before: before, limit: limit + 1)
        return (Array(found.prefix(limit)), found.count > limit ? found[limit - 1].id : nil)
    }

    package func delivery(_ delivery: String, of id: String, by caller: Caller) async throws -> WebhookDelivery {
        let webhook = try await webhook(id, of: caller)
        guard let delivery = try await store.delivery(delivery, of: webhook.id) else { throw Self.noDelivery }
        return delivery
    }

    package func redeliver(
        _ delivery: String, of id: String, by caller: Caller, idempotency: IdempotencyClaim?
    ) async throws -> WebhookDelivery {
        let webhook = try await webhook(id, of: caller)
        guard let delivery = try await store.redeliver(delivery, of: webhook.id, idempotency: idempotency) else {
            throw Self.noDelivery
        }
        return delivery
    }

    private static let noDelivery = ExecboxError(.notFound, "no such delivery, or it is no longer kept")
    private static let notFound = ExecboxError(.notFound, "no such webhook")
}
