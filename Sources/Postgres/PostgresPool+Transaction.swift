extension PostgresPool {
    /// Runs `body` in a transaction and commits what it did.
    ///
    /// A throw or a cancellation rolls everything back, and the error is thrown on. COMMIT itself is not interrupted by a cancellation; if the
    /// connection breaks there (`.connectionLost`) nobody knows whether it took effect. An error that `body` swallowed, and by which the
    /// server aborted the transaction, is thrown as `.server(25P02)`.
    package func withTransaction<Value>(
        level: PostgresTransaction.Isolation = .readCommitted, readOnly: Bool = false, retry: PostgresTransaction.Retry = .never,
        isolation: isolated (any Actor)? = #isolation, _ body: (PostgresTransaction) async throws -> sending Value
    ) async throws -> sending Value {
        var attempt = 1
        while true {
            do {
                return try await self.attempt(level, readOnly: readOnly, isolation: isolation, body)
            } catch let error as PostgresError where attempt < retry.attempts && error.sqlState?.isRetryable == true {
                try await self.pause(before: attempt)
                attempt += 1
            }
        }
    }

    private func attempt<Value>(
        _ level: PostgresTransaction.Isolation, readOnly: Bool, isolation: isolated (any Actor)?,
        _ body: (PostgresTransaction) async throws -> sending Value
    ) async throws -> sending Value {
        try await self.withConnection(isolation: isolation) { connection in
            try await connection.runScript("BEGIN ISOLATION LEVEL \(level.rawValue)\(readOnly ? " READ ONLY" : "")")
            let value: Value
            do {
                value = try await body(PostgresTransaction(connection))
                if Task.isCancelled { throw PostgresError(.cancelled, "cancelled before COMMIT") }
            } catch {
                // False means that the connection is broken, and then the server rolls back by itself.
                _ = await connection.reset()
                throw error
            }
            // The server answers COMMIT of an aborted transaction with success and the tag ROLLBACK.
            guard try await connection.runUninterrupted("COMMIT", timeout: .seconds(30)) == "COMMIT" else {
                let state = SQLState(rawValue: "25P02")
                throw PostgresError(.server(state), "the transaction had been aborted", sqlState: state)
            }
            return value
        }
    }

    private func pause(before attempt: Int) async throws(PostgresError) {
        let backoff = Backoff(first: .milliseconds(10), longest: .milliseconds(500))
        do {
            try await Task.sleep(for: backoff.delay(failures: attempt, jitter: .random(in: 0...1)))
        } catch {
            throw PostgresError(.cancelled, "cancelled between two attempts")
        }
    }
}
