/// What a session used and cost.
public struct UsageBody: Equatable, Sendable, Codable {
    public var durationMs: Int64
    public var cpuMs: Int64
    public var memoryPeakMB: Int64
    public var oomKills: Int64
    public var stdoutBytes: Int64
    public var stderrBytes: Int64
    /// Micro-USD.
    public var costMicros: Int64

    public init(
        durationMs: Int64, cpuMs: Int64, memoryPeakMB: Int64, oomKills: Int64, stdoutBytes: Int64, stderrBytes: Int64, costMicros: Int64
    ) {
        self.durationMs = durationMs
        self.cpuMs = cpuMs
        self.memoryPeakMB = memoryPeakMB
        self.oomKills = oomKills
        self.stdoutBytes = stdoutBytes
        self.stderrBytes = stderrBytes
        self.costMicros = costMicros
    }
}
