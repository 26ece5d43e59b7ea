import ExecboxModel

/// One session's line in an export by session.
public struct SessionChargeBody: Equatable, Sendable, Codable {
    public var sessionID: String
    public var date: String
    public var keyID: String
    public var image: String
    public var status: String
    public var reason: String?
    public var startedAt: Timestamp?
    /// Absent while it runs: then the rest is up to now.
    public var endedAt: Timestamp?
    public var cpuMillis: Int
    public var memoryMB: Int
    public var durationMs: Int64
    public var cpuMs: Int64
    public var costMicros: Int64
    public var labels: [String: String]

    private enum CodingKeys: String, CodingKey {
        case date, image, status, reason, labels
        case sessionID = "session_id"
        case keyID = "key_id"
        case startedAt = "started_at"
        case endedAt = "ended_at"
        case cpuMillis = "cpu_millis"
        case memoryMB = "memory_mb"
        case durationMs = "duration_ms"
        case cpuMs = "cpu_ms"
        case costMicros = "cost_micros"
    }

    public init(
        sessionID: String, date: String, keyID: String, image: String, status: String, reason: String?, startedAt: Timestamp?,
        endedAt: Timestamp?, cpuMillis: Int, memoryMB: Int, durationMs: Int64, cpuMs: Int64, costMicros: Int64, labels: [String: String]
    ) {
        self.sessionID = sessionID
        self.date = date
        self.keyID = keyID
        self.image = image
        self.status = status
        self.reason = reason
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.cpuMillis = cpuMillis
        self.memoryMB = memoryMB
        self.durationMs = durationMs
        self.cpuMs = cpuMs
        self.costMicros = costMicros
        self.labels = labels
    }
}
