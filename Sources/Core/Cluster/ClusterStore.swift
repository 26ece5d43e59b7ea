import ExecboxPostgres

/// Who this installation is.
package struct ClusterStore: Sendable {
    private let database: PostgresPool

    package init(database: PostgresPool) { self.database = database }

    /// The random id that the first migration wrote; everything made on a host carries it.
    package func id() async throws -> String {
        try await database.queryOne("SELECT id FROM cluster").decode(String.self, "id")
    }
}
