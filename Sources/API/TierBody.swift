import ExecboxModel

/// A tier; a limit that is absent is none.
public struct TierBody: Equatable, Sendable, Codable {
    public var name: String
    public var sessionsPerDay: Int?
    public var concurrentSessions: Int?
    public var maxDurationMs: Int64?
    public var maxMemoryMB: Int?
    public var maxCPUMillis: Int?
    public var requestsPerSecond: Int

    private enum CodingKeys: String, CodingKey {
        case name
        case sessionsPerDay = "sessions_per_day"
        case concurrentSessions = "concurrent_sessions"
        case maxDurationMs = "max_duration_ms"
        case maxMemoryMB = "max_memory_mb"
        case maxCPUMillis = "max_cpu_millis"
        case requestsPerSecond = "requests_per_second"
    }

    public init(name: String, requestsPerSecond: Int) {
        self.name = name
        self.requestsPerSecond = requestsPerSecond
    }

    /// Decodes and validates the body of `PUT /v1/admin/tiers/{name}`: the whole tier.
    public init(name: String, json body: some Sequence<UInt8>) throws(ExecboxError) {
        self.name = name
        var object = try JSONObjectReader.parse(body)
        sessionsPerDay = try object.optional("sessions_per_day").map { reader throws(ExecboxError) in
            Int(try reader.integer(in: 0...1_000_000_000))
        }
        concurrentSessions = try object.optional("concurrent_sessions").map { reader throws(ExecboxError) in
            Int(try reader.integer(in: 0...1_000_000_000))
        }
        maxDurationMs = try object.optional("max_duration_ms")?.milliseconds(min: 1000)
        maxMemoryMB = try object.optional("max_memory_mb").map { reader throws(ExecboxError) in
            Int(try reader.integer(in: 32...1_000_000_000))
        }
        maxCPUMillis = try object.optional("max_cpu_millis").map { reader throws(ExecboxError) in
            Int(try reader.integer(in: 100...1_000_000_000))
        }
        requestsPerSecond = try object.required("requests_per_second").count()
        object.ignore("name")
        try object.finish()
    }
}
