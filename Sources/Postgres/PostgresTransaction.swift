/// The connection inside a transaction that is open for as long as the closure it was given to runs.
package struct PostgresTransaction: PostgresQuerying {
    private let connection: PostgresConnection

    init(_ connection: PostgresConnection) {
        self.connection = connection
    }

    package func run(_ sql: SQL, timeout: Duration? = nil) async throws(PostgresError) -> PostgresResult {
        try await self.connection.run(sql, timeout: timeout)
    }

    /// What a transaction sees of others.
    package enum Isolation: String, Sendable {
        case readCommitted = "READ COMMITTED"
        case repeatableRead = "REPEATABLE READ"
        case serializable = "SERIALIZABLE"
    }

    /// Whether a transaction that lost a race (SQLSTATE 40001, 40P01) is run again from its start.
    package enum Retry: Sendable, Hashable {
        case never
        /// The closure may be called up to `attempts` times: all it does, it does in the database.
        case idempotent(attempts: Int = 5)

        var attempts: Int {
            switch self {
            case .never: 1
            case .idempotent(let attempts): max(1, attempts)
            }
        }
    }
}
