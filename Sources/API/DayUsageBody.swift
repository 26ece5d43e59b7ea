/// What the sessions of one day used, together.
public struct DayUsageBody: Equatable, Sendable, Codable {
    /// `2026-01-31`, in the account's time zone.
    public var date: String
    public var executions: Int64
    /// Sessions that failed.
    public var errors: Int64
    public var durationMs: Int64
    /// Measured.
    public var cpuMs: Int64
    /// Rounded down, for display.
    public var costCents: Int64
    public var costMicros: Int64

    private enum CodingKeys: String, CodingKey {
        case date, executions, errors
        case durationMs = "duration_ms"
        case cpuMs = "cpu_ms"
        case costCents = "cost_cents"
        case costMicros = "cost_micros"
    }

    public init(date: String, executions: Int64, errors: Int64, durationMs: Int64, cpuMs: Int64, costMicros: Int64) {
        self.date = date
        self.executions = executions
        self.errors = errors
        self.durationMs = durationMs
        self.cpuMs = cpuMs
        costCents = costMicros / UpdateAccountLimitsBody.microsPerCent
        self.costMicros = costMicros
    }
}
