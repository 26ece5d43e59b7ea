import ExecboxModel

/// The limits a caller asks for; nil where the tier's default holds.
public struct RequestedResources: Equatable, Sendable, Encodable {
    public var cpuMillis: Int?
    public var memoryMB: Int?
    public var diskMB: Int?
    public var pids: Int?
    public var timeoutMs: Int64?
    public var idleTimeoutMs: Int64?
    public var diskReadBps: Int64?
    public var diskWriteBps: Int64?
    public var diskReadIops: Int64?
    public var diskWriteIops: Int64?

    public init() {}

    init(_ reader: JSONReader) throws(ExecboxError) {
        var object = try reader.object()
        cpuMillis = try object.optional("cpuMillis")?.integer(in: 100...8000).asInt
        memoryMB = try object.optional("memoryMB")?.integer(in: 32...8192).asInt
        diskMB = try object.optional("diskMB")?.integer(in: 1...1_048_576).asInt
        pids = try object.optional("pids")?.integer(in: 1...32_768).asInt
        timeoutMs = try object.optional("timeoutMs")?.milliseconds(min: 1000)
        idleTimeoutMs = try object.optional("idleTimeoutMs")?.milliseconds(min: 1000)
        diskReadBps = try object.optional("diskReadBps")?.integer(in: 1...Int64.max)
        diskWriteBps = try object.optional("diskWriteBps")?.integer(in: 1...Int64.max)
        diskReadIops = try object.optional("diskReadIops")?.integer(in: 1...Int64.max)
        diskWriteIops = try object.optional("diskWriteIops")?.integer(in: 1...Int64.max)
        // Sent by deployed clients; they never did anything.
        object.ignore("computePower", "storageMB", "timeout")
        try object.finish()
    }
}

extension Int64 {
    fileprivate var asInt: Int { Int(self) }
}
