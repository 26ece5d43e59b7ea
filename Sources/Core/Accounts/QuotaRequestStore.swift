import ExecboxModel
import ExecboxPostgres

/// All SQL on quota requests.
package struct QuotaRequestStore: Sendable {
    private let database: PostgresPool

    package init(database: PostgresPool) { self.database = database }

    private static let columns = """
        id, account_id, email, name, company, use_case, requested_limits, budget, status,
        (extract(epoch FROM created_at) * 1000000)::bigint AS created_at
        """

    package func insert(_ request: QuotaRequest, by actor: AuditActor, idempotency: IdempotencyClaim?) async throws -> QuotaRequest {
        try await database.withTransaction { transaction in
            let rows = try await transaction.query(
                """
                INSERT INTO quota_requests (account_id, email, name, company, use_case, requested_limits, budget)
                VALUES (\(request.accountID?.description), \(request.email), \(request.name), \(request.company), \(request.useCase),
                    \(request.requestedLimits), \(request.budget))
                RETURNING \(raw: Self.columns)
                """
            )
            let stored = try Self.one(rows)
            try await AuditStore.append(
                .quotaRequestCreated, of: "\(stored.id)", account: stored.accountID, by: actor, changes: [:], in: transaction)
            try await IdempotencyStore.record(idempotency, resource: "\(stored.id)", transaction)
            return stored
        }
    }

    package func request(_ id: Int64) async throws -> QuotaRequest? {
        try await database.query("SELECT \(raw: Self.columns) FROM quota_requests WHERE id = \(id)").first.map(QuotaRequest.init(row:))
    }

    /// Newest first; `before` is the last id of the page before.
    package func list(_ status: QuotaRequest.Status?, before: Int64?, limit: Int) async throws -> [QuotaRequest] {
        let rows = try await database.query(
            """
            SELECT \(raw: Self.columns) FROM quota_requests
            WHERE (\(status?.rawValue)::text IS NULL OR status = \(status?.rawValue)) AND (\(before)::bigint IS NULL OR id < \(before))
            ORDER BY id DESC LIMIT \(limit)
            """
        )
        return try rows.map(QuotaRequest.init(row:))
    }

    /// - Returns: nil if there is none.
    package func decide(_ id: Int64, _ status: QuotaRequest.Status, by actor: AuditActor) async throws -> QuotaRequest? {
        try await database.withTransaction { transaction in
            let found = try await transaction.query("SELECT \(raw: Self.columns) FROM quota_requests WHERE id = \(id) FOR UPDATE")
            guard let old = try found.first.map(QuotaRequest.init(row:)) else { return nil }
            guard old.status != status else { return old }
            let rows = try await transaction.query(
                """
                UPDATE quota_requests SET status = \(status.rawValue), updated_at = now() WHERE id = \(id) RETURNING \(raw: Self.columns)
                """
            )
            try await AuditStore.append(
                .quotaRequestUpdated, of: "\(id)", account: old.accountID, by: actor,
                changes: ["status": .init(old: old.status.rawValue, new: status.rawValue)], in: transaction)
            return try Self.one(rows)
        }
    }

    private static func one(_ rows: [PostgresRow]) throws -> QuotaRequest {
        guard let row = rows.first else { throw ExecboxError(.internal, "internal error", privateDetail: "no quota request row") }
        return try QuotaRequest(row: row)
    }
}

extension QuotaRequest {
    fileprivate init(row: PostgresRow) throws {
        self.init(email: try row.decode(String.self, "email"))
        id = try row.decode(Int64.self, "id")
        accountID = try row.decode(String?.self, "account_id").flatMap { AccountID($0) }
        name = try row.decode(String?.self, "name")
        company = try row.decode(String?.self, "company")
        useCase = try row.decode(String?.self, "use_case")
        requestedLimits = try row.decode(String?.self, "requested_limits")
        budget = try row.decode(String?.self, "budget")
        status = Status(rawValue: try row.decode(String.self, "status")) ?? .pending
        createdAt = try row.time("created_at") ?? createdAt
    }
}
