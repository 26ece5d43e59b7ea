import ExecboxModel
import ExecboxPostgres

/// All SQL on webhooks and their deliveries.
package struct WebhookStore: Sendable {
    package static let channel = "execbox_webhook"
    /// How long a delivery that is under way is kept from other replicas.
    static let claimSeconds = 60.0

    private let database: PostgresPool

    package init(database: PostgresPool) { self.database = database }

    private static let columns = """
        w.id, w.account_id, w.url, w.events, w.is_active, (extract(epoch FROM w.created_at) * 1000000)::bigint AS created_at
        """
    private static let deliveryColumns = """
        d.id, d.event, d.status, d.attempts, d.last_status, d.last_error, (extract(epoch FROM d.created_at) * 1000000)::bigint AS created_at,
        CASE WHEN d.status = 'pending' THEN (extract(epoch FROM d.next_attempt_at) * 1000000)::bigint END AS next_attempt_at,
        (extract(epoch FROM d.ended_at) * 1000000)::bigint AS ended_at
        """

    // MARK: Webhooks

    package func webhooks(of account: AccountID) async throws -> [Webhook] {
        let rows = try await database.query(
            """
            SELECT \(raw: Self.columns) FROM webhooks w WHERE account_id = \(account.description) AND deleted_at IS NULL ORDER BY w.id
            """
        )
        return try rows.map(Webhook.init(row:))
    }

    package func webhook(_ id: WebhookID, of account: AccountID) async throws -> Webhook? {
        try await Self.webhook(id, of: account, database)
    }

    private static func webhook(_ id: WebhookID, of account: AccountID, _ queries: some PostgresQuerying) async throws -> Webhook? {
        let rows = try await queries.query(
            """
            SELECT \(raw: columns) FROM webhooks w
            WHERE id = \(id.description) AND account_id = \(account.description) AND deleted_at IS NULL
            """
        )
        return try rows.first.map(Webhook.init(row:))
    }

    /// - Throws: `quotaExceeded` if the account has `most` already.
    package func insert(
        _ webhook: Webhook, secretSealed: [UInt8], most: Int, by actor: AuditActor, idempotency: IdempotencyClaim?
    ) async throws -> Webhook {
        try await database.withTransaction { transaction in
            _ = try await transaction.query("SELECT 1 FROM accounts WHERE id = \(webhook.accountID.description) FOR UPDATE")
            let count = try await transaction.queryOne(
                "SELECT count(*)::int AS count FROM webhooks WHERE account_id = \(webhook.accountID.description) AND deleted_at IS NULL")
            guard try count.decode(Int.self, "count") < most else {
                throw ExecboxError(
                    .quotaExceeded, "the account has \(most) webhooks, and no more are given",
                    details: ["limit": .text("webhooks"), "value": .number(Int64(most)), "owner": .text("account")])
            }
            _ = try await transaction.execute(
                """
                INSERT INTO webhooks (id, account_id, url, secret_sealed, events, is_active)
                VALUES (\(webhook.id.description), \(webhook.accountID.description), \(webhook.url), \(secretSealed),
                    \(webhook.events.map(\.rawValue).sorted()), \(webhook.isActive))
                """
            )
            try await AuditStore.append(
                .webhookCreated, of: webhook.id.description, account: webhook.accountID, by: actor, changes: webhook.differences(from: nil),
                in: transaction)
            try await IdempotencyStore.record(idempotency, resource: webhook.id.description, transaction)
            return try await Self.webhook(webhook.id, of: webhook.accountID, transaction) ?? webhook
        }
    }

    /// - Parameter check: is given the events of the changed webhook, and throws if they may not be.
    /// - Returns: nil if there is no such webhook.
    package func update(
        _ id: WebhookID, of account: AccountID, _ change: WebhookChange, by actor: AuditActor,
        check: @Sendable (Set<WebhookEvent>) throws -> Void = { _ in }
    ) async throws -> Webhook? {
        try await database.withTransaction { transaction in
            _ = try await transaction.query("SELECT 1 FROM webhooks WHERE id = \(id.description) FOR UPDATE")
            guard let old = try await Self.webhook(id, of: account, transaction) else { return nil }
            try check(change.events ?? old.events)
            _ = try await transaction.execute(
                """
                UPDATE webhooks SET url = \(change.url ?? old.url), is_active = \(change.isActive ?? old.isActive),
                    events = \((change.events ?? old.events).map(\.rawValue).sorted())
                WHERE id = \(id.description)
                """
            )
            guard let new = try await Self.webhook(id, of: account, transaction) else { return nil }
            let changes = new.differences(from: old)
            if !changes.isEmpty {
                try await AuditStore.append(
                    .webhookUpdated, of: id.description, account: account, by: actor, changes: changes, in: transaction)
            }
            return new
        }
    }

    /// What is under way is given up. False if there is no such webhook.
    package func delete(_ id: WebhookID, of account: AccountID, by actor: AuditActor) async throws -> Bool {
        try await database.withTransaction { transaction in
            let deleted = try await transaction.execute(
                """
                UPDATE webhooks SET deleted_at = now(), is_active = false
                WHERE id = \(id.description) AND account_id = \(account.description) AND deleted_at IS NULL
                """
            )
            guard deleted == 1 else { return false }
            _ = try await transaction.execute(
                """
                UPDATE webhook_deliveries SET status = 'failed', ended_at = now(), last_error = 'the webhook was deleted'
                WHERE webhook_id = \(id.description) AND status = 'pending'
                """
            )
            try await AuditStore.append(.webhookDeleted, of: id.description, account: account, by: actor, changes: [:], in: transaction)
            return true
        }
    }

    // MARK: Events

    private struct Envelope<Data: Encodable>: Encodable {
        var id: String
        var type: String
        var createdAt: String
        var accountID: String
        var data: Data
    }

    /// Leaves the event for every webhook that wants it, in the transaction of what happened.
    static func emit(
        _ event: WebhookEvent, account: AccountID, _ data: some Encodable & Sendable, _ transaction: PostgresTransaction
    ) async throws {
        let hooks = try await transaction.query(
            """
            SELECT id FROM webhooks WHERE account_id = \(account.description) AND is_active AND deleted_at IS NULL
                AND events @> \([event.rawValue])
            """
        )
        guard !hooks.isEmpty else { return }
        let now = Timestamp.now
        var random = SystemRandomNumberGenerator()
        func ulid() -> String { ULID(unixMilliseconds: UInt64(clamping: now.unixMicroseconds / 1000), random: &random).text }
        let payload = try JSONText.encodeSnakeCase(
            Envelope(id: "evt_\(ulid())", type: event.rawValue, createdAt: now.text, accountID: account.description, data: data))
        for hook in hooks {
            _ = try await transaction.execute(
                """
                INSERT INTO webhook_deliveries (id, webhook_id, event, payload)
                VALUES (\("dlv_\(ulid())"), \(try hook.decode(String.self, "id")), \(event.rawValue), \(payload))
                """
            )
        }
        _ = try await transaction.query("SELECT pg_notify(\(channel), '')")
    }

    // MARK: Delivery

    /// Takes deliveries that are due, in turn of one account after the other: at most `limit`, and so that of one account no more than
    /// `perAccount` are under way.
    func claimDue(limit: Int, perAccount: Int) async throws -> [WebhookAttempt] {
        let rows = try await database.withTransaction { transaction in
            // Replicas claim one after the other, so that together they keep the limit.
            _ = try await transaction.query("SELECT pg_advisory_xact_lock(hashtext('execbox_webhooks'))")
            return try await transaction.query(
                """
                WITH claimed AS (
                    SELECT w.account_id, count(*) AS count FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id
                    WHERE d.status = 'pending' AND d.claimed_until > now() GROUP BY 1
                ), free AS (
                    SELECT w.account_id, d.id, d.next_attempt_at,
                        row_number() OVER (PARTITION BY w.account_id ORDER BY d.next_attempt_at, d.id) AS place
                    FROM webhooks w, LATERAL (
                        SELECT id, next_attempt_at FROM webhook_deliveries d
                        WHERE d.webhook_id = w.id AND status = 'pending' AND next_attempt_at <= now()
                            AND (claimed_until IS NULL OR claimed_until < now())
                        ORDER BY next_attempt_at, id LIMIT \(perAccount)) d
                    WHERE w.is_active AND w.deleted_at IS NULL
                ), due AS (
                    SELECT id FROM free LEFT JOIN claimed USING (account_id) WHERE place + COALESCE(claimed.count, 0) <= \(perAccount)
                    ORDER BY place, next_attempt_at LIMIT \(limit)
                )
                UPDATE webhook_deliveries d SET claimed_until = now() + make_interval(secs => \(Self.claimSeconds))
                FROM due, webhooks w WHERE d.id = due.id AND w.id = d.webhook_id
                RETURNING d.id, d.event, d.payload, d.attempts, w.id AS webhook_id, w.url, w.secret_sealed
                """
            )
        }
        return try rows.map { row in
            guard let webhook = WebhookID(try row.decode(String.self, "webhook_id")) else {
                throw ExecboxError(.internal, "internal error", privateDetail: "a webhook's row of unknown form")
            }
            return WebhookAttempt(
                id: try row.decode(String.self, "id"), event: try row.decode(String.self, "event"), url: try row.decode(String.self, "url"),
                payload: try row.decode(String.self, "payload"), secretSealed: try row.decode([UInt8].self, "secret_sealed"),
                webhookID: webhook, attempts: try row.decode(Int.self, "attempts"))
        }
    }

    func delivered(_ id: String, status: Int) async throws {
        _ = try await database.execute(
            """
            UPDATE webhook_deliveries SET status = 'delivered', ended_at = now(), attempts = attempts + 1, claimed_until = NULL,
                last_status = \(status), last_error = NULL
            WHERE id = \(id) AND status = 'pending'
            """
        )
    }

    /// It is tried again after `pause`, unless its time is over by then.
    func notDelivered(_ id: String, status: Int?, error: String, pause: Duration) async throws {
        _ = try await database.execute(
            """
            UPDATE webhook_deliveries SET attempts = attempts + 1, claimed_until = NULL, last_status = \(status), last_error = \(error),
                next_attempt_at = now() + make_interval(secs => \(pause.inSeconds)),
                status = CASE WHEN now() + make_interval(secs => \(pause.inSeconds)) > expires_at THEN 'failed' ELSE 'pending' END,
                ended_at = CASE WHEN now() + make_interval(secs => \(pause.inSeconds)) > expires_at THEN now() END
            WHERE id = \(id) AND status = 'pending'
            """
        )
    }

    /// Newest first; `before` is the last id of the page before.
    package func deliveries(of webhook: WebhookID, before: String?, limit: Int) async throws -> [WebhookDelivery] {
        let rows = try await database.query(
            """
            SELECT \(raw: Self.deliveryColumns) FROM webhook_deliveries d WHERE webhook_id = \(webhook.description)
                AND (\(before)::text IS NULL OR id < \(before)) ORDER BY id DESC LIMIT \(limit)
            """
        )
        return try rows.map(WebhookDelivery.init(row:))
    }

    package func delivery(_ id: String, of webhook: WebhookID) async throws -> WebhookDelivery? {
        let rows = try await database.query(
            """
            SELECT \(raw: Self.deliveryColumns) FROM webhook_deliveries d WHERE id = \(id) AND webhook_id = \(webhook.description)
            """
        )
        return try rows.first.map(WebhookDelivery.init(row:))
    }

    /// Delivers again, for another 24 hours, whatever became of it. Nil if there is no such delivery any more.
    package func redeliver(_ id: String, of webhook: WebhookID, idempotency: IdempotencyClaim?) async throws -> WebhookDelivery? {
        try await database.withTransaction { transaction in
            let rows = try await transaction.query(
                """
                UPDATE webhook_deliveries d SET status = 'pending', ended_at = NULL, next_attempt_at = now(), claimed_until = NULL,
                    expires_at = now() + interval '24 hours', attempts = 0
                WHERE id = \(id) AND webhook_id = \(webhook.description) RETURNING \(raw: Self.deliveryColumns)
                """
            )
            guard let row = rows.first else { return nil }
            _ = try await transaction.query("SELECT pg_notify(\(Self.channel), '')")
            try await IdempotencyStore.record(idempotency, resource: id, transaction)
            return try WebhookDelivery(row: row)
        }
    }

    /// Deliveries are kept for a month. What never had its turn, since its webhook is switched off, say, fails in time too.
    package func sweep() async throws {
        _ = try await database.execute(
            """
            UPDATE webhook_deliveries SET status = 'failed', ended_at = now(), last_error = COALESCE(last_error, 'its time was over')
            WHERE status = 'pending' AND expires_at < now() AND (claimed_until IS NULL OR claimed_until < now())
            """
        )
        _ = try await database.execute(
            "DELETE FROM webhook_deliveries WHERE status <> 'pending' AND ended_at < now() - interval '30 days'")
    }
}

extension Webhook {
    fileprivate init(row: PostgresRow) throws {
        guard let id = WebhookID(try row.decode(String.self, "id")), let account = AccountID(try row.decode(String.self, "account_id"))
        else {
            throw ExecboxError(.internal, "internal error", privateDetail: "a webhook's row of unknown form")
        }
        self.init(
            id: id, accountID: account, url: try row.decode(String.self, "url"),
            events: Set(try row.decode([String].self, "events").compactMap(WebhookEvent.init(rawValue:))),
            isActive: try row.decode(Bool.self, "is_active"), createdAt: try row.time("created_at") ?? Timestamp(unixMicroseconds: 0))
    }

    /// The fields in which two states differ, for the audit log.
    fileprivate func differences(from old: Webhook?) -> [String: AuditEntry.Change] {
        func fields(_ webhook: Webhook?) -> [(name: String, value: String?)] {
            [
                ("url", webhook?.url), ("events", webhook?.events.map(\.rawValue).sorted().joined(separator: " ")),
                ("is_active", (webhook?.isActive).map { "\($0)" }),
            ]
        }
        return AuditEntry.changes(from: fields(old), to: fields(self))
    }
}

extension WebhookDelivery {
    fileprivate init(row: PostgresRow) throws {
        self.init(
            id: try row.decode(String.self, "id"), event: try row.decode(String.self, "event"),
            status: Status(rawValue: try row.decode(String.self, "status")) ?? .failed, attempts: try row.decode(Int.self, "attempts"),
            nextAttemptAt: try row.time("next_attempt_at"), lastStatus: try row.decode(Int?.self, "last_status"),
            lastError: try row.decode(String?.self, "last_error"),
            createdAt: try row.time("created_at") ?? Timestamp(unixMicroseconds: 0), endedAt: try row.time("ended_at"))
    }
}
