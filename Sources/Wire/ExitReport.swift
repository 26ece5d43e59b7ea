/// How a process ended, and what it used.
public struct ExitReport: Equatable, Sendable {
    public enum Cause: UInt8, Sendable, CaseIterable {
        case exited = 0
        case signaled = 1
        /// The agent killed it when `timeoutMs` was over.
        case timeout = 2
        /// The memory limit was hit while it ran (ARCHITECTURE, "OOM").
        case outOfMemory = 3
    }

    public var processID: String
    public var cause: Cause
    /// As waitpid gave it; 128 + n after signal n. Never collapsed, whatever the cause.
    public var exitCode: Int32
    /// `SIGTERM`; empty if it exited by itself.
    public var signal: String
    /// From start to end on the agent's monotonic clock.
    public var elapsedMicroseconds: UInt64
    public var stdoutBytes: UInt64
    public var stderrBytes: UInt64
    /// User and system time of the whole sandbox for main, of the process and its waited-for children for an exec.
    public var cpuMicroseconds: UInt64
    /// The sandbox's peak; 0 where the kernel does not tell.
    public var memoryPeakBytes: UInt64
    /// Kills by the memory limit in the sandbox so far.
    public var oomKills: UInt32

    public init(
        processID: String, cause: Cause, exitCode: Int32, signal: String = "", elapsedMicroseconds: UInt64 = 0, stdoutBytes: UInt64 = 0,
        stderrBytes: UInt64 = 0, cpuMicroseconds: UInt64 = 0, memoryPeakBytes: UInt64 = 0, oomKills: UInt32 = 0
    ) {
        self.processID = processID
        self.cause = cause
        self.exitCode = exitCode
        self.signal = signal
        self.elapsedMicroseconds = elapsedMicroseconds
        self.stdoutBytes = stdoutBytes
        self.stderrBytes = stderrBytes
        self.cpuMicroseconds = cpuMicroseconds
        self.memoryPeakBytes = memoryPeakBytes
        self.oomKills = oomKills
    }

    init(from reader: inout FieldReader<some Collection<UInt8>>) throws(WireError) {
        processID = try reader.processID()
        guard let cause = Cause(rawValue: try reader.uint8()) else { throw .invalidField("cause") }
        self.cause = cause
        exitCode = try reader.int32()
        signal = try reader.string("signal", max: 32)
        elapsedMicroseconds = try reader.uint64()
        stdoutBytes = try reader.uint64()
        stderrBytes = try reader.uint64()
        cpuMicroseconds = try reader.uint64()
        memoryPeakBytes = try reader.uint64()
        oomKills = try reader.uint32()
    }

    func write(to writer: inout FieldWriter) {
        writer.string(processID)
        writer.integer(cause.rawValue)
        writer.integer(exitCode)
        writer.string(signal)
        writer.integer(elapsedMicroseconds)
        writer.integer(stdoutBytes)
        writer.integer(stderrBytes)
        writer.integer(cpuMicroseconds)
        writer.integer(memoryPeakBytes)
        writer.integer(oomKills)
    }
}
