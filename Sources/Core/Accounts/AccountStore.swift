import ExecboxModel
import ExecboxPostgres

/// All SQL on accounts and tiers.
package struct AccountStore: Sendable {
    private static let columns = """
        a.id, a.name, a.email, a.timezone, a.billing_email, a.alert_threshold, a.sessions_per_day, a.concurrent_sessions,
        a.monthly_cost_limit_micros, (extract(epoch FROM a.tier_expires_at) * 1000000)::bigint AS tier_expires_at,
        (extract(epoch FROM a.created_at) * 1000000)::bigint AS created_at,
        t.name AS tier, t.sessions_per_day AS tier_sessions_per_day, t.concurrent_sessions AS tier_concurrent_sessions,
        t.max_duration_ms, t.max_memory_mb, t.max_cpu_millis, t.requests_per_second
        """
    /// With the tier that is in force now.
    private static let source = """
        accounts a JOIN tiers t ON t.name = CASE WHEN a.tier_expires_at <= now() THEN '\(Tier.fallbackName)' ELSE a.tier END
        """

    private let database: PostgresPool

    package init(database: PostgresPool) { self.database = database }

    package func account(_ id: AccountID) async throws -> Account? { try await Self.account(id, database) }

    static func account(_ id: AccountID, _ queries: some PostgresQuerying) async throws -> Account? {
        let rows = try await queries.query("SELECT \(raw: columns) FROM \(raw: source) WHERE a.id = \(id.description)")
        return try rows.first.map(Account.init(row:))
    }

    /// The account with this name; made, with the tier, when there is none.
    package func findOrCreate(name: String, tier: String, id: AccountID, by actor: AuditActor) async throws -> Account {
        try await database.withTransaction { transaction in
            // Two at once must not make the account twice.
            _ = try await transaction.query("SELECT pg_advisory_xact_lock(hashtext('execbox_accounts'))")
            let found = try await transaction.query("SELECT id FROM accounts WHERE name = \(name) ORDER BY created_at LIMIT 1").first
            if found == nil {
                _ = try await transaction.execute("INSERT INTO accounts (id, name, tier) VALUES (\(id.description), \(name), \(tier))")
                try await AuditStore.append(
                    .accountCreated, of: id.description, account: id, by: actor,
                    changes: ["name": .init(old: nil, new: name), "tier": .init(old: nil, new: tier)], in: transaction)
            }
            let chosen = try found.map { AccountID(try $0.decode(String.self, "id")) } ?? id
            guard let chosen, let account = try await Self.account(chosen, transaction) else {
                throw ExecboxError(.internal, "internal error", privateDetail: "the account \(name) cannot be read")
            }
            return account
        }
    }

    /// Whether PostgreSQL knows the time zone, by its whole name.
    package func isTimezone(_ name: String) async throws -> Bool {
        try await !database.query("SELECT 1 FROM pg_timezone_names WHERE name = \(name)").isEmpty
    }

    /// Sets the account's own limits; `change` sees them as they are, locked.
    package func changeLimits(
        of id: AccountID, by actor: AuditActor, _ change: @Sendable (Account) throws -> AccountLimits
    ) async throws -> Account? {
        try await database.withTransaction { transaction in
            _ = try await transaction.query("SELECT 1 FROM accounts WHERE id = \(id.description) FOR UPDATE")
            guard let old = try await Self.account(id, transaction) else { return nil }
            let limits = try change(old)
            _ = try await transaction.execute(
                """
                UPDATE accounts SET sessions_per_day = \(limits.sessionsPerDay), concurrent_sessions = \(limits.concurrentSessions),
                    monthly_cost_limit_micros = \(limits.monthlyCostMicros), alert_threshold = \(limits.alertThreshold),
                    timezone = \(limits.timezone), billing_email = \(limits.billingEmail)
                WHERE id = \(id.description)
                """
            )
            let changes = limits.differences(from: old.limits)
            if !changes.isEmpty {
                try await AuditStore.append(
                    .limitsUpdated, of: id.description, account: id, by: actor, changes: changes, in: transaction)
            }
            return try await Self.account(id, transaction)
        }
    }
}

extension Account {
    fileprivate init(row: PostgresRow) throws {
        guard let id = AccountID(try row.decode(String.self, "id")) else {
            throw ExecboxError(.internal, "internal error", privateDetail: "an account's row has an id of unknown form")
        }
        self.id = id
        name = try row.decode(String.self, "name")
        email = try row.decode(String?.self, "email")
        tier = Tier(
            name: try row.decode(String.self, "tier"), sessionsPerDay: try row.decode(Int?.self, "tier_sessions_per_day"),
            concurrentSessions: try row.decode(Int?.self, "tier_concurrent_sessions"),
            maxDurationMs: try row.decode(Int64?.self, "max_duration_ms"), maxMemoryMB: try row.decode(Int?.self, "max_memory_mb"),
            maxCPUMillis: try row.decode(Int?.self, "max_cpu_millis"), requestsPerSecond: try row.decode(Int.self, "requests_per_second"))
        tierExpiresAt = try row.time("tier_expires_at")
        limits = AccountLimits(
            sessionsPerDay: try row.decode(Int?.self, "sessions_per_day"),
            concurrentSessions: try row.decode(Int?.self, "concurrent_sessions"),
            monthlyCostMicros: try row.decode(Int64?.self, "monthly_cost_limit_micros"),
            alertThreshold: try row.decode(Int.self, "alert_threshold"), timezone: try row.decode(String.self, "timezone"),
            billingEmail: try row.decode(String?.self, "billing_email"))
        createdAt = try row.time("created_at") ?? Timestamp(unixMicroseconds: 0)
    }
}
