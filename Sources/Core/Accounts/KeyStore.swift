import ExecboxModel
import ExecboxPostgres

/// All SQL on keys. Rules live in `Keys`; this only makes them atomic.
package struct KeyStore: Sendable {
    package static let channel = "execbox_key"

    private static let columns = """
        k.id, k.account_id, k.public_id, k.secret_hash, k.former_secret_hash, k.name, k.description, k.is_active, k.scopes,
        k.sessions_per_day, k.concurrent_sessions, k.requests_per_second,
        (extract(epoch FROM k.former_valid_until) * 1000000)::bigint AS former_valid_until,
        (extract(epoch FROM k.created_at) * 1000000)::bigint AS created_at,
        (extract(epoch FROM k.expires_at) * 1000000)::bigint AS expires_at,
        (extract(epoch FROM k.revoked_at) * 1000000)::bigint AS revoked_at,
        (extract(epoch FROM k.last_used_at) * 1000000)::bigint AS last_used_at
        """

    private let database: PostgresPool

    package init(database: PostgresPool) { self.database = database }

    package func key(publicID: String) async throws -> Key? {
        try await database.query("SELECT \(raw: Self.columns) FROM api_keys k WHERE public_id = \(publicID)").first.map(Key.init(row:))
    }

    /// Those that were not deleted, of one account or of all, oldest first.
    package func keys(of account: AccountID? = nil) async throws -> [Key] {
        let rows = try await database.query(
            """
            SELECT \(raw: Self.columns) FROM api_keys k
            WHERE revoked_at IS NULL AND (\(account?.description)::text IS NULL OR account_id = \(account?.description))
            ORDER BY k.created_at, k.id
            """
        )
        return try rows.map(Key.init(row:))
    }

    /// The key, if it belongs to the account and was not deleted.
    package func key(_ id: KeyID, of account: AccountID) async throws -> Key? {
        try await Self.key(id, of: account, database)
    }

    /// Whether the account has the key, or had it before it was deleted.
    package func wasEver(_ id: KeyID, of account: AccountID) async throws -> Bool {
        try await !database.query(
            "SELECT 1 FROM api_keys WHERE id = \(id.description) AND account_id = \(account.description)"
        ).isEmpty
    }

    static func key(_ id: KeyID, of account: AccountID, _ queries: some PostgresQuerying) async throws -> Key? {
        let rows = try await queries.query(
            """
            SELECT \(raw: columns) FROM api_keys k
            WHERE id = \(id.description) AND account_id = \(account.description) AND revoked_at IS NULL
            """
        )
        return try rows.first.map(Key.init(row:))
    }

    /// Runs `body` with the account locked, so that what it decides by the account's other keys stays true.
    package func changing<Value: Sendable>(
        _ account: AccountID, _ body: (PostgresTransaction) async throws -> Value
    ) async throws -> Value {
        try await database.withTransaction { transaction in
            _ = try await transaction.query("SELECT 1 FROM accounts WHERE id = \(account.description) FOR UPDATE")
            return try await body(transaction)
        }
    }

    /// Of any account.
    package func key(anybodys id: KeyID) async throws -> Key? {
        try await database.query("SELECT \(raw: Self.columns) FROM api_keys k WHERE id = \(id.description) AND revoked_at IS NULL").first
            .map(
                Key.init(row:))
    }

    package func transaction<Value: Sendable>(_ body: (PostgresTransaction) async throws -> Value) async throws -> Value {
        try await database.withTransaction { try await body($0) }
    }

    func insert(_ key: Key, in transaction: PostgresTransaction) async throws -> Key {
        let rows = try await transaction.query(
            """
            INSERT INTO api_keys AS k (id, account_id, public_id, secret_hash, name, description, scopes, sessions_per_day,
                concurrent_sessions, requests_per_second, expires_at)
            VALUES (\(key.id.description), \(key.accountID.description), \(key.publicID), \(key.secretHash), \(key.name),
                \(key.description), \(key.scopes.sorted().map(\.rawValue)), \(key.sessionsPerDay), \(key.concurrentSessions),
                \(key.requestsPerSecond), \(key.expiresAt.map(PostgresTimestamp.init)))
            RETURNING \(raw: Self.columns)
            """
        )
        return try Self.one(rows)
    }

    /// Writes everything of the key that can change, and tells every replica once the transaction commits.
    func update(_ key: Key, in transaction: PostgresTransaction) async throws -> Key {
        let rows = try await transaction.query(
            """
            UPDATE api_keys AS k SET secret_hash = \(key.secretHash), former_secret_hash = \(key.former?.secretHash),
                former_valid_until = \((key.former?.validUntil).map(PostgresTimestamp.init)), name = \(key.name),
                description = \(key.description), is_active = \(key.isActive), scopes = \(key.scopes.sorted().map(\.rawValue)),
                sessions_per_day = \(key.sessionsPerDay), concurrent_sessions = \(key.concurrentSessions),
                requests_per_second = \(key.requestsPerSecond),
                expires_at = \(key.expiresAt.map(PostgresTimestamp.init)),
                revoked_at = \(key.deletedAt.map(PostgresTimestamp.init))
            WHERE id = \(key.id.description) RETURNING \(raw: Self.columns)
            """
        )
        _ = try await transaction.query("SELECT pg_notify(\(Self.channel), \(key.publicID))")
        return try Self.one(rows)
    }

    /// How many keys of the account but `id` can manage keys now.
    func otherManagers(of account: AccountID, than id: KeyID, in transaction: PostgresTransaction) async throws -> Int {
        let rows = try await transaction.query(
            """
            SELECT count(*)::int AS count FROM api_keys WHERE account_id = \(account.description) AND id <> \(id.description)
                AND revoked_at IS NULL AND is_active AND 'keys' = ANY (scopes) AND (expires_at IS NULL OR expires_at > now())
            """
        )
        return try rows.first?.decode(Int.self, "count") ?? 0
    }

    /// At most once a minute a key.
    package func markUsed(_ id: KeyID) async throws {
        _ = try await database.execute(
            """
            UPDATE api_keys SET last_used_at = now()
            WHERE id = \(id.description) AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
            """
        )
    }

    private static func one(_ rows: [PostgresRow]) throws -> Key {
        guard let row = rows.first else { throw ExecboxError(.internal, "internal error", privateDetail: "no key row") }
        return try Key(row: row)
    }
}

extension Key {
    fileprivate init(row: PostgresRow) throws {
        guard let id = KeyID(try row.decode(String.self, "id")), let account = AccountID(try row.decode(String.self, "account_id")) else {
            throw ExecboxError(.internal, "internal error", privateDetail: "a key's row has an id of unknown form")
        }
        self.id = id
        accountID = account
        publicID = try row.decode(String.self, "public_id")
        secretHash = try row.decode([UInt8].self, "secret_hash")
        if let hash = try row.decode([UInt8]?.self, "former_secret_hash"), let until = try row.time("former_valid_until") {
            former = Former(secretHash: hash, validUntil: until)
        }
        name = try row.decode(String.self, "name")
        description = try row.decode(String?.self, "description")
        isActive = try row.decode(Bool.self, "is_active")
        scopes = Set(try row.decode([String].self, "scopes").compactMap(Scope.init))
        sessionsPerDay = try row.decode(Int?.self, "sessions_per_day")
        concurrentSessions = try row.decode(Int?.self, "concurrent_sessions")
        requestsPerSecond = try row.decode(Int?.self, "requests_per_second")
        createdAt = try row.time("created_at") ?? Timestamp(unixMicroseconds: 0)
        expiresAt = try row.time("expires_at")
        deletedAt = try row.time("revoked_at")
        lastUsedAt = try row.time("last_used_at")
    }
}

extension PostgresTimestamp {
    init(_ timestamp: Timestamp) { self.init(microsecondsSince1970: timestamp.unixMicroseconds) }
}

extension PostgresRow {
    /// A column of microseconds since 1970.
    func time(_ column: String) throws -> Timestamp? { try decode(Int64?.self, column).map(Timestamp.init(unixMicroseconds:)) }
}
