import ExecboxModel
import ExecboxPostgres

/// All SQL on tiers.
package struct TierStore: Sendable {
    private let database: PostgresPool

    package init(database: PostgresPool) { self.database = database }

    private static let columns = """
        name, sessions_per_day, concurrent_sessions, max_duration_ms, max_memory_mb, max_cpu_millis, requests_per_second
        """

    package func tiers() async throws -> [Tier] {
        try await database.query("SELECT \(raw: Self.columns) FROM tiers ORDER BY created_at, name").map(Tier.init(row:))
    }

    static func tier(_ name: String, _ transaction: PostgresTransaction) async throws -> Tier? {
        try await transaction.query("SELECT \(raw: columns) FROM tiers WHERE name = \(name) FOR UPDATE").first.map(Tier.init(row:))
    }

    /// Makes or replaces the tier. Who has it has the new limits within a second.
    package func put(_ tier: Tier, by actor: AuditActor) async throws -> Tier {
        try await database.withTransaction { transaction in
            let old = try await Self.tier(tier.name, transaction)
            let rows = try await transaction.query(
                """
                INSERT INTO tiers (\(raw: Self.columns))
                VALUES (\(tier.name), \(tier.sessionsPerDay), \(tier.concurrentSessions), \(tier.maxDurationMs), \(tier.maxMemoryMB),
                    \(tier.maxCPUMillis), \(tier.requestsPerSecond))
                ON CONFLICT (name) DO UPDATE SET sessions_per_day = EXCLUDED.sessions_per_day,
                    concurrent_sessions = EXCLUDED.concurrent_sessions, max_duration_ms = EXCLUDED.max_duration_ms,
                    max_memory_mb = EXCLUDED.max_memory_mb, max_cpu_millis = EXCLUDED.max_cpu_millis,
                    requests_per_second = EXCLUDED.requests_per_second
                RETURNING \(raw: Self.columns)
                """
            )
            let changes = tier.differences(from: old)
            if !changes.isEmpty {
                try await AuditStore.append(
                    old == nil ? .tierCreated : .tierUpdated, of: tier.name, account: nil, by: actor, changes: changes, in: transaction)
            }
            guard let row = rows.first else { throw ExecboxError(.internal, "internal error", privateDetail: "no tier row") }
            return try Tier(row: row)
        }
    }

    /// - Returns: false if there is no such tier.
    /// - Throws: `conflict` while an account has it.
    package func delete(_ name: String, by actor: AuditActor) async throws -> Bool {
        try await database.withTransaction { transaction in
            guard let old = try await Self.tier(name, transaction) else { return false }
            guard try await transaction.query("SELECT 1 FROM accounts WHERE tier = \(name) LIMIT 1").isEmpty else {
                throw ExecboxError(.conflict, "accounts have the tier \(name); give them another first")
            }
            _ = try await transaction.execute("DELETE FROM tiers WHERE name = \(name)")
            try await AuditStore.append(
                .tierDeleted, of: name, account: nil, by: actor,
                changes: old.differences(from: nil).mapValues { .init(old: $0.new, new: nil) },
                in: transaction)
            return true
        }
    }
}

extension Tier {
    fileprivate init(row: PostgresRow) throws {
        self.init(
            name: try row.decode(String.self, "name"), sessionsPerDay: try row.decode(Int?.self, "sessions_per_day"),
            concurrentSessions: try row.decode(Int?.self, "concurrent_sessions"),
            maxDurationMs: try row.decode(Int64?.self, "max_duration_ms"), maxMemoryMB: try row.decode(Int?.self, "max_memory_mb"),
            maxCPUMillis: try row.decode(Int?.self, "max_cpu_millis"), requestsPerSecond: try row.decode(Int.self, "requests_per_second"))
    }

    /// The fields in which two states differ, for the audit log.
    fileprivate func differences(from old: Tier?) -> [String: AuditEntry.Change] {
        func fields(_ tier: Tier?) -> [(name: String, value: String?)] {
            [
                ("sessions_per_day", tier?.sessionsPerDay.map(String.init)),
                ("concurrent_sessions", tier?.concurrentSessions.map(String.init)),
                ("max_duration_ms", tier?.maxDurationMs.map(String.init)), ("max_memory_mb", tier?.maxMemoryMB.map(String.init)),
                ("max_cpu_millis", tier?.maxCPUMillis.map(String.init)),
                ("requests_per_second", (tier?.requestsPerSecond).map(String.init)),
            ]
        }
        return AuditEntry.changes(from: fields(old), to: fields(self))
    }
}
