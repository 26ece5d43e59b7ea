import ExecboxModel
import ExecboxPostgres

/// All SQL on the price book.
package struct PriceStore: Sendable {
    private let database: PostgresPool

    package init(database: PostgresPool) { self.database = database }

    private static let columns = """
        (extract(epoch FROM valid_from) * 1000000)::bigint AS valid_from, micros_per_session, micros_per_cpu_second, micros_per_gb_second
        """

    /// By date, the oldest first.
    package func prices() async throws -> [Price] {
        try await database.query("SELECT \(raw: Self.columns) FROM prices ORDER BY valid_from").map(Price.init(row:))
    }

    /// What sessions have started at is not changed: a price begins now or later.
    ///
    /// - Throws: `conflict` if another begins at the same moment.
    package func add(_ price: Price, by actor: AuditActor, idempotency: IdempotencyClaim?) async throws -> Price {
        try await database.withTransaction { transaction in
            let rows = try await transaction.query(
                """
                INSERT INTO prices (valid_from, micros_per_session, micros_per_cpu_second, micros_per_gb_second)
                VALUES (GREATEST(\(PostgresTimestamp(microsecondsSince1970: price.validFrom.unixMicroseconds)), now()),
                    \(price.microsPerSession), \(price.microsPerCPUSecond), \(price.microsPerGigabyteSecond))
                ON CONFLICT DO NOTHING RETURNING \(raw: Self.columns)
                """
            )
            guard let row = rows.first else { throw ExecboxError(.conflict, "another price begins at \(price.validFrom.text)") }
            let added = try Price(row: row)
            try await AuditStore.append(
                .priceCreated, of: added.validFrom.text, account: nil, by: actor,
                changes: added.auditFields.mapValues { .init(old: nil, new: $0) },
                in: transaction)
            try await IdempotencyStore.record(idempotency, resource: added.validFrom.text, transaction)
            return added
        }
    }

    /// Takes back a price that has not begun.
    ///
    /// - Returns: false if none begins then.
    /// - Throws: `conflict` if it has begun.
    package func delete(validFrom: Timestamp, by actor: AuditActor) async throws -> Bool {
        try await database.withTransaction { transaction in
            let moment = PostgresTimestamp(microsecondsSince1970: validFrom.unixMicroseconds)
            let rows = try await transaction.query(
                // Times are shown in milliseconds.
                """
                SELECT id, valid_from > now() AS is_future, \(raw: Self.columns) FROM prices
                WHERE valid_from >= \(moment)::timestamptz AND valid_from < \(moment)::timestamptz + interval '1 ms' FOR UPDATE
                """
            )
            guard let row = rows.first else { return false }
            guard try row.decode(Bool.self, "is_future") else {
                throw ExecboxError(.conflict, "the price of \(validFrom.text) is in force or was; add another one instead")
            }
            _ = try await transaction.execute("DELETE FROM prices WHERE id = \(try row.decode(Int64.self, "id"))")
            try await AuditStore.append(
                .priceDeleted, of: validFrom.text, account: nil, by: actor,
                changes: try Price(row: row).auditFields.mapValues { .init(old: $0, new: nil) }, in: transaction)
            return true
        }
    }
}

extension Price {
    fileprivate init(row: PostgresRow) throws {
        self.init(
            validFrom: try row.time("valid_from") ?? Timestamp(unixMicroseconds: 0),
            microsPerSession: try row.decode(Int64.self, "micros_per_session"),
            microsPerCPUSecond: try row.decode(Int64.self, "micros_per_cpu_second"),
            microsPerGigabyteSecond: try row.decode(Int64.self, "micros_per_gb_second"))
    }

    fileprivate var auditFields: [String: String] {
        [
            "micros_per_session": "\(microsPerSession)", "micros_per_cpu_second": "\(microsPerCPUSecond)",
            "micros_per_gb_second": "\(microsPerGigabyteSecond)",
        ]
    }
}
