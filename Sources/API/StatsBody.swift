/// What a running session uses now.
public struct StatsBody: Equatable, Sendable, Codable {
    public var cpuMs: Int64
    public var memoryBytes: Int64
    public var memoryPeakBytes: Int64
    public var memoryLimitBytes: Int64
    public var pids: Int64
    public var networkReceivedBytes: Int64
    public var networkSentBytes: Int64
    public var oomKills: Int64
    public var uptimeMs: Int64

    public init(
        cpuMs: Int64, memoryBytes: Int64, memoryPeakBytes: Int64, memoryLimitBytes: Int64, pids: Int64, networkReceivedBytes: Int64,
        networkSentBytes: Int64, oomKills: Int64, uptimeMs: Int64
    ) {
        self.cpuMs = cpuMs
        self.memoryBytes = memoryBytes
        self.memoryPeakBytes = memoryPeakBytes
        self.memoryLimitBytes = memoryLimitBytes
        self.pids = pids
        self.networkReceivedBytes = networkReceivedBytes
        self.networkSentBytes = networkSentBytes
        self.oomKills = oomKills
        self.uptimeMs = uptimeMs
    }
}
