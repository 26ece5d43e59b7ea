/// A message between server and agent (ARCHITECTURE, "The agent").
///
/// One connection carries one operation. The agent speaks first with `hello`; the server's first message names the operation. `start` and
/// `attach` are answered with `attached` and turn the connection into a stream: output frames, Gap, Credit and at last `exited` come from
/// the agent, Stdin, StdinClose and `acknowledge` go to it. Every other operation gets one reply.
public enum AgentMessage: Equatable, Sendable {
    /// The protocol this codec speaks; an agent with another one is refused.
    public static let protocolVersion: UInt16 = 1
    /// The process that carries the session; all others are execs.
    public static let mainProcessID = "main"
    /// The longest payload of any message but output and stdin frames.
    public static let maxPayloadLength = 4 << 20
    /// What an agent takes in without having granted credit, in bytes.
    public static let initialStdinCredit: UInt32 = 256 * 1024

    case hello(Hello)
    /// The session's secret; the first message of a server to an agent that listens.
    case secret([UInt8])
    case start(StartRequest)
    case attach(AttachRequest)
    /// Sends a signal (`SIGINT`) to the whole process group.
    case signal(processID: String, name: String)
    case resize(processID: String, columns: UInt16, rows: UInt16)
    /// SIGHUP to the group, SIGKILL after 5 s: the client has gone on purpose.
    case hangup(processID: String)
    case list
    case stats
    /// All but the agent is killed when so many seconds pass without another `setDeadline`.
    case setDeadline(seconds: UInt32)
    /// `signal` to main's group, SIGKILL after `graceMs`, then everything else.
    case shutdown(signal: String, graceMs: UInt32)
    /// The agent exits, and with it the sandbox.
    case dismiss
    case done
    case failed(AgentFailure)
    /// The stream's answer: the offset of the first byte that will come, and of the first one not yet written by the process.
    case attached(first: UInt64, end: UInt64)
    /// Everything before `offset` is in the database; only the highest epoch seen counts.
    case acknowledge(epoch: UInt64, offset: UInt64)
    case exited(ExitReport)
    case processes([ProcessReport])
    case statistics(SandboxStatistics)

    public var type: AgentMessageType {
        switch self {
        case .hello: .hello
        case .secret: .secret
        case .start: .start
        case .attach: .attach
        case .signal: .signal
        case .resize: .resize
        case .hangup: .hangup
        case .list: .list
        case .stats: .stats
        case .setDeadline: .setDeadline
        case .shutdown: .shutdown
        case .dismiss: .dismiss
        case .done: .done
        case .failed: .failed
        case .attached: .attached
        case .acknowledge: .acknowledge
        case .exited: .exited
        case .processes: .processes
        case .statistics: .statistics
        }
    }

    /// Decodes a payload whose header has been read.
    public init(type rawType: UInt8, payload: some Collection<UInt8>) throws(WireError) {
        guard let type = AgentMessageType(rawValue: rawType) else { throw .unknownType(rawType) }
        guard payload.count <= Self.maxPayloadLength else { throw .tooLong(length: payload.count, limit: Self.maxPayloadLength) }
        var reader = FieldReader(payload)
        switch type {
        case .hello: self = .hello(try Hello(from: &reader))
        case .secret: self = .secret(try reader.bytes(max: 256))
        case .start: self = .start(try StartRequest(from: &reader))
        case .attach: self = .attach(try AttachRequest(from: &reader))
        case .signal: self = .signal(processID: try reader.processID(), name: try reader.string("signal", max: 32))
        case .resize:
            self = .resize(processID: try reader.processID(), columns: try reader.uint16(), rows: try reader.uint16())
        case .hangup: self = .hangup(processID: try reader.processID())
        case .list: self = .list
        case .stats: self = .stats
        case .setDeadline: self = .setDeadline(seconds: try reader.uint32())
        case .shutdown: self = .shutdown(signal: try reader.string("signal", max: 32), graceMs: try reader.uint32())
        case .dismiss: self = .dismiss
        case .done: self = .done
        case .failed: self = .failed(try AgentFailure(from: &reader))
        case .attached: self = .attached(first: try reader.uint64(), end: try reader.uint64())
        case .acknowledge: self = .acknowledge(epoch: try reader.uint64(), offset: try reader.uint64())
        case .exited: self = .exited(try ExitReport(from: &reader))
        case .processes:
            let count = Int(try reader.uint32())
            guard count <= ProcessReport.maxCount else { throw .tooLong(length: count, limit: ProcessReport.maxCount) }
            var list: [ProcessReport] = []
            for _ in 0..<count { list.append(try ProcessReport(from: &reader)) }
            self = .processes(list)
        case .statistics: self = .statistics(try SandboxStatistics(from: &reader))
        }
        try reader.finish()
    }

    /// The message's bytes with its header.
    public var bytes: [UInt8] {
        var writer = FieldWriter()
        switch self {
        case .hello(let hello): hello.write(to: &writer)
        case .secret(let secret): writer.data(secret)
        case .start(let request): request.write(to: &writer)
        case .attach(let request): request.write(to: &writer)
        case .signal(let processID, let name):
            writer.string(processID)
            writer.string(name)
        case .resize(let processID, let columns, let rows):
            writer.string(processID)
            writer.integer(columns)
            writer.integer(rows)
        case .hangup(let processID): writer.string(processID)
        case .list, .stats, .dismiss, .done: break
        case .setDeadline(let seconds): writer.integer(seconds)
        case .shutdown(let signal, let graceMs):
            writer.string(signal)
            writer.integer(graceMs)
        case .failed(let failure): failure.write(to: &writer)
        case .attached(let first, let end):
            writer.integer(first)
            writer.integer(end)
        case .acknowledge(let epoch, let offset):
            writer.integer(epoch)
            writer.integer(offset)
        case .exited(let report): report.write(to: &writer)
        case .processes(let list):
            writer.integer(UInt32(truncatingIfNeeded: list.count))
            for report in list { report.write(to: &writer) }
        case .statistics(let statistics): statistics.write(to: &writer)
        }
        return PacketHeader(type: type.rawValue, payloadLength: writer.bytes.count).bytes + writer.bytes
    }
}

extension FieldReader {
    mutating func processID() throws(WireError) -> String { try string("process id", max: 128) }
}
