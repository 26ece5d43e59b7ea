import ExecboxModel

/// What an account may do at most; nil is "no limit". Tiers are rows, so that operators can edit them.
package struct Tier: Hashable, Sendable {
    package var name: String
    package var sessionsPerDay: Int?
    package var concurrentSessions: Int?
    package var maxDurationMs: Int64?
    package var maxMemoryMB: Int?
    package var maxCPUMillis: Int?
    package var requestsPerSecond: Int

    package init(
        name: String, sessionsPerDay: Int? = nil, concurrentSessions: Int? = nil, maxDurationMs: Int64? = nil, maxMemoryMB: Int? = nil,
        maxCPUMillis: Int? = nil, requestsPerSecond: Int
    ) {
        self.name = name
        self.sessionsPerDay = sessionsPerDay
        self.concurrentSessions = concurrentSessions
        self.maxDurationMs = maxDurationMs
        self.maxMemoryMB = maxMemoryMB
        self.maxCPUMillis = maxCPUMillis
        self.requestsPerSecond = requestsPerSecond
    }

    /// - Throws: `invalidArgument` for what cannot be stored or would overflow a deadline.
    func check() throws(ExecboxError) {
        func isLetter(_ character: Character) -> Bool { ("a"..."z").contains(character) }
        guard (1...32).contains(name.utf8.count), name.first.map(isLetter) == true,
            name.allSatisfy({ isLetter($0) || ("0"..."9").contains($0) || $0 == "_" || $0 == "-" })
        else { throw .invalid("name", "a tier's name has 1 to 32 letters a-z, digits, _ and -, the first a letter") }
        let most: Int64 = 1_000_000_000
        for (field, value, range) in [
            ("sessions_per_day", sessionsPerDay.map(Int64.init), 0...most),
            ("concurrent_sessions", concurrentSessions.map(Int64.init), 0...most),
            // Ten years and a little.
            ("max_duration_ms", maxDurationMs, 1000...316_224_000_000), ("max_memory_mb", maxMemoryMB.map(Int64.init), 32...most),
            ("max_cpu_millis", maxCPUMillis.map(Int64.init), 100...most), ("requests_per_second", Int64(requestsPerSecond), 1...most),
        ] as [(String, Int64?, ClosedRange<Int64>)] {
            if let value, !range.contains(value) {
                throw .invalid(field, "\(field) must be between \(range.lowerBound) and \(range.upperBound), not \(value)")
            }
        }
    }

    /// What every account without a tier of its own, or with one that has expired, has.
    package static let fallbackName = "free"
}
