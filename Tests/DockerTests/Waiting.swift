/// Suspends until the condition holds; the suite's time limit ends a wait in vain.
func until(_ condition: () async throws -> Bool) async throws {
    while try await !condition() { try await Task.sleep(for: .milliseconds(20)) }
}
