import ExecboxModel
import ExecboxPostgres

/// All SQL on the audit log: entries are added in the transaction of what they tell of, and never changed. What
/// webhooks are told of is left for them at the same time.
package struct AuditStore: Sendable {
    private let database: PostgresPool

    package init(database: PostgresPool) { self.database = database }

    static func append(
        _ action: AuditEntry.Action, of target: String, account: AccountID?, by actor: AuditActor, changes: [String: AuditEntry.Change],
        in transaction: PostgresTransaction
    ) async throws {
        _ = try await transaction.execute(
            """
            INSERT INTO audit_log (account_id, actor, action, target, changes)
            VALUES (\(account?.description), \(actor.description), \(action.rawValue), \(target), \(try JSONText.encode(changes))::text::jsonb)
            """
        )
        if let event = WebhookEvent(action), let account {
            let data = WebhookEvent.ChangedKey(keyID: target, actor: actor.description, changes: changes)
            try await WebhookStore.emit(event, account: account, data, transaction)
        }
    }

    /// Of one account or of everything, newest first, at most `limit`; `before` is the last id of the page before.
    package func entries(of account: AccountID?, before: Int64?, limit: Int) async throws -> [AuditEntry] {
        let rows = try await database.query(
            """
            SELECT id, actor, action, target, changes::text AS changes, (extract(epoch FROM at) * 1000000)::bigint AS at FROM audit_log
            WHERE (\(account?.description)::text IS NULL OR account_id = \(account?.description)) AND (\(before)::bigint IS NULL OR id < \(before)) ORDER BY id DESC LIMIT \(limit)
            """
        )
        return try rows.map { row in
            guard let action = AuditEntry.Action(rawValue: try row.decode(String.self, "action")), let at = try row.time("at") else {
                throw ExecboxError(.internal, "internal error", privateDetail: "an audit entry of unknown form")
            }
            return AuditEntry(
                id: try row.decode(Int64.self, "id"), at: at, actor: try row.decode(String.self, "actor"), action: action,
                target: try row.decode(String.self, "target"),
                changes: try JSONText.decode([String: AuditEntry.Change].self, try row.decode(String.self, "changes")))
        }
    }
}
