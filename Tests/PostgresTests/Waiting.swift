import ExecboxPostgres
import Testing

/// Looks again and again until `condition` holds; the test's time limit is the only limit.
func until(_ condition: () async throws -> Bool) async throws {
    while try await !condition() { try await Task.sleep(for: .milliseconds(5)) }
}

/// The `PostgresError` that `body` throws; nil if it does not throw one.
func failure<Value>(_ body: () async throws -> Value) async -> PostgresError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error as? PostgresError
    }
}

/// The code of the `PostgresError` that `body` throws; nil if it does not throw one.
func code<Value>(_ body: () async throws -> Value) async -> PostgresError.Code? {
    await failure(body)?.code
}

extension PostgresQuerying {
    /// Waits until a session whose current statement contains `text` sleeps in the server.
    func untilRunning(_ text: String) async throws {
        try await until {
            try await !self.query(
                """
                SELECT 1 FROM pg_stat_activity
                WHERE state = 'active' AND pid <> pg_backend_pid() AND wait_event IS NOT NULL AND strpos(query, \(text)) > 0
                """
            ).isEmpty
        }
    }

    func processID() async throws -> Int {
        try await self.queryOne("SELECT pg_backend_pid()").decode(Int.self, at: 0)
    }

    /// Ends a session and waits until it is gone.
    func terminate(_ processID: Int) async throws {
        try await self.execute("SELECT pg_terminate_backend(\(processID)::int)")
        try await until { try await self.query("SELECT 1 FROM pg_stat_activity WHERE pid = \(processID)").isEmpty }
    }
}
