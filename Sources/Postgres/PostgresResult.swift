/// What a statement answered.
package struct PostgresResult: Sendable {
    /// All of them, in the server's order; empty for statements that return none.
    package let rows: [PostgresRow]

    /// Rows inserted, updated, deleted or selected; 0 for statements that have no such number.
    package let affectedRows: Int

    /// The server's name for what it did, for example `INSERT 0 1`.
    package let tag: String
}
