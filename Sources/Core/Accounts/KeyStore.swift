import ExecboxModel
import ExecboxPostgres

/// All SQL on accounts and keys.
package struct KeyStore: Sendable {
    package static let channel = "execbox_key"

    /// A key's row; its secret is nowhere.
    package struct Row: Equatable, Sendable {
        package var id: KeyID
        package var accountID: AccountID
        package var publicID: String
        package var secretHash: [UInt8]
        package var name: String
        package var createdAt: Timestamp
        package var expiresAt: Timestamp?
        package var revokedAt: Timestamp?
        package var lastUsedAt: Timestamp?

        package func isValid(at now: Timestamp) -> Bool { revokedAt == nil && expiresAt.map { now < $0 } ?? true }
    }

    private static let columns = """
        id, account_id, public_id, secret_hash, name, (extract(epoch FROM created_at) * 1000000)::bigint AS created_at,
        (extract(epoch FROM expires_at) * 1000000)::bigint AS expires_at,
        (extract(epoch FROM revoked_at) * 1000000)::bigint AS revoked_at,
        (extract(epoch FROM last_used_at) * 1000000)::bigint AS last_used_at
        """

    private let database: PostgresPool

    package init(database: PostgresPool) { self.database = database }

    package func row(publicID: String) async throws -> Row? {
        try await database.query("SELECT \(raw: Self.columns) FROM api_keys WHERE public_id = \(publicID)").first.map(Row.init(row:))
    }

    package func rows() async throws -> [Row] {
        try await database.query("SELECT \(raw: Self.columns) FROM api_keys ORDER BY created_at").map(Row.init(row:))
    }

    /// Inserts the key, and the account when there is none of this name.
    package func insert(_ key: APIKey, id: KeyID, name: String, accountName: String, newAccountID: AccountID) async throws -> Row {
        try await database.withTransaction { transaction in
            // Two at once must not make the account twice.
            _ = try await transaction.query("SELECT pg_advisory_xact_lock(hashtext('execbox_accounts'))")
            let found = try await transaction.query("SELECT id FROM accounts WHERE name = \(accountName)").first
            let accountID = try found?.decode(String.self, "id") ?? newAccountID.description
            if found == nil {
                _ = try await transaction.execute("INSERT INTO accounts (id, name) VALUES (\(accountID), \(accountName))")
            }
            let rows = try await transaction.query(
                """
                INSERT INTO api_keys (id, account_id, public_id, secret_hash, name)
                VALUES (\(id.description), \(accountID), \(key.publicID), \(key.secretHash), \(name)) RETURNING \(raw: Self.columns)
                """
            )
            guard let row = rows.first else { throw ExecboxError(.internal, "internal error", privateDetail: "no key row") }
            return try Row(row: row)
        }
    }

    /// False when there is no such key, or it was revoked before.
    package func revoke(publicID: String) async throws -> Bool {
        let changed = try await database.execute(
            "UPDATE api_keys SET revoked_at = now() WHERE public_id = \(publicID) AND revoked_at IS NULL"
        )
        _ = try await database.query("SELECT pg_notify(\(Self.channel), \(publicID))")
        return changed == 1
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
}

extension KeyStore.Row {
    fileprivate init(row: PostgresRow) throws {
        guard let id = KeyID(try row.decode(String.self, "id")), let account = AccountID(try row.decode(String.self, "account_id")) else {
            throw ExecboxError(.internal, "internal error", privateDetail: "a key's row has an id of unknown form")
        }
        func time(_ column: String) throws -> Timestamp? { try row.decode(Int64?.self, column).map(Timestamp.init(unixMicroseconds:)) }
        self.id = id
        accountID = account
        publicID = try row.decode(String.self, "public_id")
        secretHash = try row.decode([UInt8].self, "secret_hash")
        name = try row.decode(String.self, "name")
        createdAt = try time("created_at") ?? Timestamp(unixMicroseconds: 0)
        expiresAt = try time("expires_at")
        revokedAt = try time("revoked_at")
        lastUsedAt = try time("last_used_at")
    }
}
