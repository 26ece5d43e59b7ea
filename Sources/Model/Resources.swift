/// What a session may use. Every limit is enforced by the backend, not displayed.
public struct Resources: Equatable, Sendable {
    /// Thousandths of a CPU.
    public var cpuMillis: Int
    /// MiB, without swap.
    public var memoryMB: Int
    /// The writable layer, MiB.
    public var diskMB: Int
    public var pids: Int
    /// From `startedAt`; nil for no deadline.
    public var timeoutMs: Int64?
    public var idleTimeoutMs: Int64?
    public var diskReadBps: Int64?
    public var diskWriteBps: Int64?
    public var diskReadIops: Int64?
    public var diskWriteIops: Int64?

    public init(
        cpuMillis: Int = 1000,
        memoryMB: Int = 512,
        diskMB: Int = 1024,
        pids: Int = 256,
        timeoutMs: Int64? = nil,
        idleTimeoutMs: Int64? = nil,
        diskReadBps: Int64? = nil,
        diskWriteBps: Int64? = nil,
        diskReadIops: Int64? = nil,
        diskWriteIops: Int64? = nil
    ) {
        self.cpuMillis = cpuMillis
        self.memoryMB = memoryMB
        self.diskMB = diskMB
        self.pids = pids
        self.timeoutMs = timeoutMs
        self.idleTimeoutMs = idleTimeoutMs
        self.diskReadBps = diskReadBps
        self.diskWriteBps = diskWriteBps
        self.diskReadIops = diskReadIops
        self.diskWriteIops = diskWriteIops
    }
}
