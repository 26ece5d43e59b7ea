/// Starts a process, or attaches to it when one with this id was started with the same command before.
public struct StartRequest: Equatable, Sendable {
    /// A terminal's size in characters.
    public struct TerminalSize: Equatable, Sendable {
        public var columns: UInt16
        public var rows: UInt16
        public init(columns: UInt16, rows: UInt16) {
            self.columns = columns
            self.rows = rows
        }
    }

    /// `main`, or an exec's id (1-128 bytes).
    public var processID: String
    /// The program and its arguments; at least one element.
    public var arguments: [String]
    /// `NAME=value` each. Main's whole environment; for every other process what it has beside main's, whose names it wins over.
    public var environment: [String]
    /// Absolute; empty means `/`.
    public var workingDirectory: String
    /// Makes a missing working directory (0755, as root) instead of failing.
    public var createsWorkingDirectory: Bool
    /// `name`, `uid`, `name:group` or `uid:gid` as in an image's USER, looked up in the sandbox's own passwd and group; empty means 0:0.
    public var user: String
    public var terminal: TerminalSize?
    /// False gives the process /dev/null as stdin.
    public var opensStdin: Bool
    /// How much output is kept for readers, in bytes.
    public var bufferBytes: UInt32
    /// So many first bytes of output are dropped only after a recorder acknowledged them; the process waits meanwhile. 0 for execs.
    public var headBytes: UInt64
    /// SIGKILL to the whole group after so many ms; 0 means never.
    public var timeoutMs: UInt64
    /// Kept for 10 min after its end and never hung up when its client is lost: an exec with a caller's id, or detached; main.
    public var isRetained: Bool
    /// The reader this connection becomes, from offset 0.
    public var flow: StreamFlow
    /// This connection may send Stdin frames.
    public var sendsStdin: Bool
    /// The recorder's epoch; 0 for other flows.
    public var epoch: UInt64

    public init(
        processID: String, arguments: [String], environment: [String] = [], workingDirectory: String = "",
        createsWorkingDirectory: Bool = false, user: String = "", terminal: TerminalSize? = nil, opensStdin: Bool = true,
        bufferBytes: UInt32 = 256 * 1024, headBytes: UInt64 = 0, timeoutMs: UInt64 = 0, isRetained: Bool = false,
        flow: StreamFlow = .lossless, sendsStdin: Bool = true, epoch: UInt64 = 0
    ) {
        self.processID = processID
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.createsWorkingDirectory = createsWorkingDirectory
        self.user = user
        self.terminal = terminal
        self.opensStdin = opensStdin
        self.bufferBytes = bufferBytes
        self.headBytes = headBytes
        self.timeoutMs = timeoutMs
        self.isRetained = isRetained
        self.flow = flow
        self.sendsStdin = sendsStdin
        self.epoch = epoch
    }

    init(from reader: inout FieldReader<some Collection<UInt8>>) throws(WireError) {
        processID = try reader.processID()
        arguments = try reader.strings("arguments", maxCount: 65_536, max: 2 << 20)
        environment = try reader.strings("environment", maxCount: 65_536, max: 2 << 20)
        workingDirectory = try reader.string("working directory", max: 4096)
        createsWorkingDirectory = try reader.bool("creates working directory")
        user = try reader.string("user", max: 256)
        terminal = try reader.bool("terminal") ? TerminalSize(columns: try reader.uint16(), rows: try reader.uint16()) : nil
        opensStdin = try reader.bool("opens stdin")
        bufferBytes = try reader.uint32()
        headBytes = try reader.uint64()
        timeoutMs = try reader.uint64()
        isRetained = try reader.bool("is retained")
        guard let flow = StreamFlow(rawValue: try reader.uint8()) else { throw .invalidField("flow") }
        self.flow = flow
        sendsStdin = try reader.bool("sends stdin")
        epoch = try reader.uint64()
        guard !processID.isEmpty else { throw .invalidField("process id") }
        guard !arguments.isEmpty else { throw .invalidField("arguments") }
    }

    func write(to writer: inout FieldWriter) {
        writer.string(processID)
        writer.strings(arguments)
        writer.strings(environment)
        writer.string(workingDirectory)
        writer.bool(createsWorkingDirectory)
        writer.string(user)
        writer.bool(terminal != nil)
        if let terminal {
            writer.integer(terminal.columns)
            writer.integer(terminal.rows)
        }
        writer.bool(opensStdin)
        writer.integer(bufferBytes)
        writer.integer(headBytes)
        writer.integer(timeoutMs)
        writer.bool(isRetained)
        writer.integer(flow.rawValue)
        writer.bool(sendsStdin)
        writer.integer(epoch)
    }
}
