import ExecboxPostgres
import Logging

/// A database of a test's own on the test run's PostgreSQL server.
package struct TestDatabase: Sendable {
    /// How to connect to it, as superuser.
    package let configuration: PostgresConfiguration

    /// For whatever under test wants a logger; says errors only.
    package let logger: Logger

    /// Calls `body` with a new database and drops it afterwards, whatever `body` left open.
    ///
    /// Empty, or with the migrations of a directory applied: those run once for all tests, into a template that is copied.
    package static func with<Value: Sendable>(
        migrations directory: String? = nil, _ body: @Sendable (TestDatabase) async throws -> Value
    ) async throws -> Value {
        let server = try await TestServer.shared()
        await server.enter()
        do {
            let value = try await self.with(migrations: directory, on: server, body)
            await server.leave()
            return value
        } catch {
            await server.leave()
            throw error
        }
    }

    private static func with<Value: Sendable>(
        migrations directory: String?, on server: TestServer, _ body: @Sendable (TestDatabase) async throws -> Value
    ) async throws -> Value {
        let name = "t_\(Self.randomName())"
        try await server.create(name, migrations: directory)
        let database = TestDatabase(configuration: server.configuration(database: name), logger: TestServer.logger)
        do {
            let value = try await body(database)
            try await database.drop(name, on: server)
            return value
        } catch {
            try? await database.drop(name, on: server)
            throw error
        }
    }

    /// A pool on this database that runs as long as `body` does.
    package func withPool<Value: Sendable>(
        _ settings: PostgresPool.Configuration = .init(), _ body: @Sendable (PostgresPool) async throws -> Value
    ) async throws -> Value {
        try await PostgresPool.with(self.configuration, settings: settings, logger: self.logger, body)
    }

    /// A connection to this database that is closed after `body`.
    package func withConnection<Value: Sendable>(
        _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        let connection = try await PostgresConnection.connect(self.configuration, logger: self.logger)
        do {
            let value = try await body(connection)
            await connection.close()
            return value
        } catch {
            await connection.close()
            throw error
        }
    }

    /// Lower-case letters and digits that no other test run uses.
    package static func randomName() -> String {
        String((0..<12).compactMap { _ in "abcdefghijklmnopqrstuvwxyz0123456789".randomElement() })
    }

    // A test that was cancelled has to clean up all the same, so this is a task that the cancellation does not reach; it is awaited here.
    private func drop(_ name: String, on server: TestServer) async throws {
        try await Task {
            try await server.administrate { try await $0.runScript("DROP DATABASE \"\(name)\" WITH (FORCE)") }
        }.value
    }
}
