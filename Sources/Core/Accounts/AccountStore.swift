import ExecboxModel
import ExecboxPostgres

/// All SQL on accounts and tiers.
package struct AccountStore: Sendable {
    private static let columns = """
        a.id, a.name, a.email, a.timezone, a.billing_email, a.alert_threshold, a.sessions_per_day, a.concurrent_sessions,
        a.monthly_cost_limit_micros, (extract(epoch FROM a.tier_expires_at) * 1000000)::bigint AS tier_expires_at,
        (extract(epoch FROM a.created_at) * 1000000)::bigint AS created_at,
        a.tier AS own_tier, t.name AS tier, t.sessions_per_day AS tier_sessions_per_day, t.concurrent_sessions AS tier_concurrent_sessions,
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

    /// The operators' account with this name or id; made, with the tier, when there is none. Who signed up by themselves is found by id only.
    package func findOrCreate(name: String, tier: String, id: AccountID, by actor: AuditActor) async throws -> Account {
        try await database.withTransaction { transaction in
            // Two at once must not make the account twice.
            _ = try await transaction.query("SELECT pg_advisory_xact_lock(hashtext('execbox_accounts'))")
            let found = try await transaction.query(
                "SELECT id FROM accounts WHERE (name = \(name) AND NOT is_signed_up) OR id = \(name) ORDER BY created_at LIMIT 1"
            ).first
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

    /// By id, which is by age; `after` is the last one of the page before.
    package func list(name: String?, emailKey: String?, after: AccountID?, limit: Int) async throws -> [Account] {
        let rows = try await database.query(
            """
            SELECT \(raw: Self.columns) FROM \(raw: Self.source)
            WHERE (\(name)::text IS NULL OR a.name = \(name)) AND (\(emailKey)::text IS NULL OR a.email_key = \(emailKey))
                AND (\(after?.description)::text IS NULL OR a.id > \(after?.description))
            ORDER BY a.id LIMIT \(limit)
            """
        )
        return try rows.map(Account.init(row:))
    }

    package func create(_ change: AccountChange, by actor: AuditActor, idempotency: IdempotencyClaim?) async throws -> Account {
        try await database.withTransaction { transaction in
            let account = try await Self.create(change, by: actor, in: transaction)
            try await IdempotencyStore.record(idempotency, resource: account.id.description, transaction)
            return account
        }
    }

    /// - Throws: `conflict` if the address has an account, `invalidArgument` if there is no such tier.
    static func create(_ change: AccountChange, by actor: AuditActor, in transaction: PostgresTransaction) async throws -> Account {
        let id = AccountID.make(unixMilliseconds: UInt64(clamping: Timestamp.now.unixMicroseconds / 1000))
        let tier = change.tier ?? Tier.fallbackName
        try await checkTier(tier, transaction)
        let email = change.email ?? nil
        let made = try await transaction.execute(
            """
            INSERT INTO accounts (id, name, tier, tier_expires_at, email, email_key, is_signed_up)
            VALUES (\(id.description), \(change.name ?? ""), \(tier), \((change.tierExpiresAt ?? nil).map(PostgresTimestamp.init)), \(email),
                \(email.map(EmailAddress.key)), \(change.isSignUp))
            ON CONFLICT (email_key) DO NOTHING
            """
        )
        guard made == 1, let account = try await account(id, transaction) else { throw addressTaken }
        try await AuditStore.append(
            .accountCreated, of: id.description, account: id, by: actor, changes: account.differences(from: nil), in: transaction)
        return account
    }

    /// - Returns: nil if there is no such account.
    package func update(_ id: AccountID, _ change: AccountChange, by actor: AuditActor) async throws -> Account? {
        do {
            return try await database.withTransaction { transaction in try await Self.update(id, change, by: actor, transaction) }
        } catch let error as PostgresError where error.sqlState == .uniqueViolation {
            // Somebody else took it meanwhile.
            throw Self.addressTaken
        }
    }

    private static func update(
        _ id: AccountID, _ change: AccountChange, by actor: AuditActor, _ transaction: PostgresTransaction
    ) async throws -> Account? {
        _ = try await transaction.query("SELECT 1 FROM accounts WHERE id = \(id.description) FOR UPDATE")
        guard let old = try await Self.account(id, transaction) else { return nil }
        if let tier = change.tier { try await Self.checkTier(tier, transaction) }
        let email = change.email ?? old.email
        // A new tier is meant to hold: an expiry that has passed was the old one's.
        let hasExpired = old.tierExpiresAt.map { $0 <= .now } ?? false
        let expiry = change.tierExpiresAt ?? (change.tier != nil && hasExpired ? nil : old.tierExpiresAt)
        if let key = email.map(EmailAddress.key) {
            let others = try await transaction.query("SELECT 1 FROM accounts WHERE email_key = \(key) AND id <> \(id.description)")
            guard others.isEmpty else { throw Self.addressTaken }
        }
        _ = try await transaction.execute(
            """
            UPDATE accounts SET name = \(change.name ?? old.name), tier = COALESCE(\(change.tier), tier),
                tier_expires_at = \(expiry.map(PostgresTimestamp.init)),
                email = \(email), email_key = \(email.map(EmailAddress.key))
            WHERE id = \(id.description)
            """
        )
        guard let new = try await Self.account(id, transaction) else { return nil }
        let changes = new.differences(from: old)
        if !changes.isEmpty {
            try await AuditStore.append(.accountUpdated, of: id.description, account: id, by: actor, changes: changes, in: transaction)
        }
        return new
    }

    private static let addressTaken = ExecboxError(
        .conflict, "an account with this e-mail address exists", details: ["field": .text("email")])

    private static func checkTier(_ name: String, _ transaction: PostgresTransaction) async throws {
        guard try await !transaction.query("SELECT 1 FROM tiers WHERE name = \(name) FOR KEY SHARE").isEmpty else {
            throw ExecboxError.invalid("tier", "there is no tier \(name.prefix(64))")
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
        ownTier = try row.decode(String.self, "own_tier")
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
