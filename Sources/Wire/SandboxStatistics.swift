/// What the sandbox uses now, from its cgroup and its network devices. 0 where the kernel does not tell.
public struct SandboxStatistics: Equatable, Sendable {
    public var cpuMicroseconds: UInt64
    public var memoryBytes: UInt64
    public var memoryPeakBytes: UInt64
    public var memoryLimitBytes: UInt64
    public var processCount: UInt32
    public var networkReceivedBytes: UInt64
    public var networkSentBytes: UInt64
    public var oomKills: UInt32
    /// Since the agent started.
    public var uptimeMicroseconds: UInt64

    public init(
        cpuMicroseconds: UInt64 = 0, memoryBytes: UInt64 = 0, memoryPeakBytes: UInt64 = 0, memoryLimitBytes: UInt64 = 0,
        processCount: UInt32 = 0, networkReceivedBytes: UInt64 = 0, networkSentBytes: UInt64 = 0, oomKills: UInt32 = 0,
        uptimeMicroseconds: UInt64 = 0
    ) {
        self.cpuMicroseconds = cpuMicroseconds
        self.memoryBytes = memoryBytes
        self.memoryPeakBytes = memoryPeakBytes
        self.memoryLimitBytes = memoryLimitBytes
        self.processCount = processCount
        self.networkReceivedBytes = networkReceivedBytes
        self.networkSentBytes = networkSentBytes
        self.oomKills = oomKills
        self.uptimeMicroseconds = uptimeMicroseconds
    }

    init(from reader: inout FieldReader<some Collection<UInt8>>) throws(WireError) {
        cpuMicroseconds = try reader.uint64()
        memoryBytes = try reader.uint64()
        memoryPeakBytes = try reader.uint64()
        memoryLimitBytes = try reader.uint64()
        processCount = try reader.uint32()
        networkReceivedBytes = try reader.uint64()
        networkSentBytes = try reader.uint64()
        oomKills = try reader.uint32()
        uptimeMicroseconds = try reader.uint64()
    }

    func write(to writer: inout FieldWriter) {
        writer.integer(cpuMicroseconds)
        writer.integer(memoryBytes)
        writer.integer(memoryPeakBytes)
        writer.integer(memoryLimitBytes)
        writer.integer(processCount)
        writer.integer(networkReceivedBytes)
        writer.integer(networkSentBytes)
        writer.integer(oomKills)
        writer.integer(uptimeMicroseconds)
    }
}
