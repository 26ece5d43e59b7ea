/// Something that should have become true by now.
package struct NeverHappened: Error, CustomStringConvertible {
    package let description: String
}

/// Waits until `condition` holds; a minute is far more than anything here takes.
package func eventually(_ what: String, within limit: Duration = .seconds(60), _ condition: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw NeverHappened(description: "never happened: \(what)") }
        try await Task.sleep(for: .milliseconds(10))
    }
}
