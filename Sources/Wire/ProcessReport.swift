/// One line of the agent's process list.
public struct ProcessReport: Equatable, Sendable {
    /// The most processes a list can hold.
    public static let maxCount = 4096

    public var processID: String
    /// In the sandbox's pid namespace; 0 once it has ended.
    public var pid: UInt32
    public var elapsedMicroseconds: UInt64
    public var stdoutBytes: UInt64
    public var stderrBytes: UInt64
    /// The offset of the oldest byte still held.
    public var firstOffset: UInt64
    /// Set once the process has ended.
    public var exit: ExitReport?

    public init(
        processID: String, pid: UInt32, elapsedMicroseconds: UInt64, stdoutBytes: UInt64, stderrBytes: UInt64, firstOffset: UInt64,
        exit: ExitReport? = nil
    ) {
        self.processID = processID
        self.pid = pid
        self.elapsedMicroseconds = elapsedMicroseconds
        self.stdoutBytes = stdoutBytes
        self.stderrBytes = stderrBytes
        self.firstOffset = firstOffset
        self.exit = exit
    }

    init(from reader: inout FieldReader<some Collection<UInt8>>) throws(WireError) {
        processID = try reader.processID()
        pid = try reader.uint32()
        elapsedMicroseconds = try reader.uint64()
        stdoutBytes = try reader.uint64()
        stderrBytes = try reader.uint64()
        firstOffset = try reader.uint64()
        exit = try reader.bool("has ended") ? try ExitReport(from: &reader) : nil
    }

    func write(to writer: inout FieldWriter) {
        writer.string(processID)
        writer.integer(pid)
        writer.integer(elapsedMicroseconds)
        writer.integer(stdoutBytes)
        writer.integer(stderrBytes)
        writer.integer(firstOffset)
        writer.bool(exit != nil)
        exit?.write(to: &writer)
    }
}
