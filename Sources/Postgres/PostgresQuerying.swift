/// Where a statement can be run: the pool, one connection, or a transaction. Stores take `some PostgresQuerying` to work in all three.
package protocol PostgresQuerying: Sendable {
    /// Runs one statement.
    ///
    /// `timeout` replaces the configuration's default; the server's `statement_timeout` still holds. A cancelled task cancels the statement
    /// on the server and throws `.cancelled`; if the statement was done before the request arrived, its result is returned as if nothing
    /// had happened. Nothing is ever sent twice, except by a pool that found the first connection dead before it sent anything.
    func run(_ sql: SQL, timeout: Duration?) async throws(PostgresError) -> PostgresResult
}

extension PostgresQuerying {
    /// The statement's rows.
    package func query(_ sql: SQL, timeout: Duration? = nil) async throws(PostgresError) -> [PostgresRow] {
        try await self.run(sql, timeout: timeout).rows
    }

    /// The statement's only row, or nil if there is none. Throws `.rowCount` if there are more.
    package func queryFirst(_ sql: SQL, timeout: Duration? = nil) async throws(PostgresError) -> PostgresRow? {
        let rows = try await self.run(sql, timeout: timeout).rows
        guard rows.count <= 1 else { throw PostgresError(.rowCount, "\(rows.count) rows instead of at most one", sql: sql.text) }
        return rows.first
    }

    /// The statement's only row. Throws `.rowCount` if there is none, or more.
    package func queryOne(_ sql: SQL, timeout: Duration? = nil) async throws(PostgresError) -> PostgresRow {
        let rows = try await self.run(sql, timeout: timeout).rows
        guard rows.count == 1, let row = rows.first else {
            throw PostgresError(.rowCount, "\(rows.count) rows instead of one", sql: sql.text)
        }
        return row
    }

    /// Runs a statement for its effect; returns how many rows it touched.
    @discardableResult
    package func execute(_ sql: SQL, timeout: Duration? = nil) async throws(PostgresError) -> Int {
        try await self.run(sql, timeout: timeout).affectedRows
    }
}
