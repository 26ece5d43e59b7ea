/// Reads a started process's output from an offset on, and writes its stdin when asked to.
public struct AttachRequest: Equatable, Sendable {
    public var processID: String
    /// Payload bytes of stdout and stderr (and Gap bytes) before the first one wanted.
    public var offset: UInt64
    public var flow: StreamFlow
    public var sendsStdin: Bool
    /// The recorder's epoch; 0 for other flows.
    public var epoch: UInt64

    public init(processID: String, offset: UInt64 = 0, flow: StreamFlow = .lossless, sendsStdin: Bool = true, epoch: UInt64 = 0) {
        self.processID = processID
        self.offset = offset
        self.flow = flow
        self.sendsStdin = sendsStdin
        self.epoch = epoch
    }

    init(from reader: inout FieldReader<some Collection<UInt8>>) throws(WireError) {
        processID = try reader.processID()
        offset = try reader.uint64()
        guard let flow = StreamFlow(rawValue: try reader.uint8()) else { throw .invalidField("flow") }
        self.flow = flow
        sendsStdin = try reader.bool("sends stdin")
        epoch = try reader.uint64()
    }

    func write(to writer: inout FieldWriter) {
        writer.string(processID)
        writer.integer(offset)
        writer.integer(flow.rawValue)
        writer.bool(sendsStdin)
        writer.integer(epoch)
    }
}
