import ExecboxModel

/// A session's limits as they hold.
public struct ResourcesBody: Equatable, Sendable, Codable {
    public var cpuMillis: Int
    public var memoryMB: Int
    public var diskMB: Int
    public var pids: Int
    public var timeoutMs: Int64?
    public var idleTimeoutMs: Int64?
    public var diskReadBps: Int64?
    public var diskWriteBps: Int64?
    public var diskReadIops: Int64?
    public var diskWriteIops: Int64?

    public init(_ resources: Resources) {
        cpuMillis = resources.cpuMillis
        memoryMB = resources.memoryMB
        diskMB = resources.diskMB
        pids = resources.pids
        timeoutMs = resources.timeoutMs
        idleTimeoutMs = resources.idleTimeoutMs
        diskReadBps = resources.diskReadBps
        diskWriteBps = resources.diskWriteBps
        diskReadIops = resources.diskReadIops
        diskWriteIops = resources.diskWriteIops
    }
}
