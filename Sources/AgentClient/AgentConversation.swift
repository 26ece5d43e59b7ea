import ExecboxWire
import NIOCore

/// What has been said on one connection, and what may be said next: no input or output of its own, no clock.
///
/// Every byte that comes in is the agent's and may be a lie. Whatever it sends, this holds at most the buffer limit, one frame and what one
/// read brought, and never traps.
struct AgentConversation: Sendable {
    enum Phase: Equatable, Sendable {
        /// The agent has to introduce itself.
        case greeting
        /// Nothing may come.
        case parked
        /// One message of this type, or `failed`.
        case reply(AgentMessageType)
        /// `attached` or `failed`.
        case answer
        case stream
        /// What still comes is not looked at.
        case over
    }

    enum End: Equatable, Sendable {
        /// The agent's side closed, or the network did.
        case lost
        case failed(AgentLinkError)
    }

    /// What the owner of the connection has to do now.
    enum Action: Equatable, Sendable {
        case none
        case introduce(Hello)
        /// An agent that does not want to talk, or that does not speak our version.
        case turnAway(AgentLinkError)
        case closeForViolation(String)
    }

    /// Events taken by a consumer.
    struct Batch: Sendable {
        var events: [AgentEvent] = []
        var resumesReading = false
        /// The connection has to be closed: what was next is not allowed.
        var violation: String?
    }

    private static let maxHelloLength = 1024
    private static let maxOutputLength = 1 << 20
    /// `failed` has a code and up to 4 KiB of text, `exited` an id of 128 bytes and some numbers.
    private static let maxShortLength = 8 * 1024
    /// What an event costs beside its bytes, so that empty ones are not free.
    private static let eventOverhead = 64

    private(set) var phase = Phase.greeting
    private(set) var end: End?
    private(set) var bootID: [UInt8]?
    /// The operation's bytes were taken by the kernel: the agent may have got them.
    private(set) var isOperationWritten = false
    private var slicer = PacketSlicer()
    private var events: [AgentEvent] = []
    private var nextEvent = 0
    private var eventCost = 0
    private var answer: AgentMessage?
    private var isReadingPaused = false
    private(set) var unsentBytes = 0
    private let streamBufferBytes: Int
    private let sendBufferBytes: Int
    /// Only an agent that was sent a secret has something to refuse before its hello.
    private let mayBeRefused: Bool

    init(limits: AgentLinkLimits, mayBeRefused: Bool) {
        self.mayBeRefused = mayBeRefused
        streamBufferBytes = limits.streamBufferBytes
        sendBufferBytes = limits.sendBufferBytes
    }

    // MARK: What comes in

    mutating func receive(_ read: ByteBuffer) -> Action {
        guard end == nil, phase != .over else { return .none }
        slicer.append(read)
        return advance()
    }

    /// Whether the next read may begin; if not, a batch will say so when there is room again.
    mutating func startReading() -> Bool {
        isReadingPaused = phase == .over || eventCost >= streamBufferBytes || !slicer.isDrained
        return !isReadingPaused
    }

    mutating func finish(_ end: End) {
        if self.end == nil { self.end = end }
    }

    /// Cuts and decodes until there is enough for the consumer; the rest stays as it came.
    private mutating func advance() -> Action {
        var action = Action.none
        do throws(AgentLinkError) {
            while eventCost < streamBufferBytes, phase != .over {
                let (phase, mayBeRefused) = (phase, mayBeRefused)
                let packet = try slicer.next { type throws(AgentLinkError) in
                    try Self.limit(of: type, in: phase, mayBeRefused: mayBeRefused)
                }
                guard let (type, packet) = packet else { break }
                // What stands behind a hello is looked at before the hello counts.
                if let hello = try take(type, packet) { action = .introduce(hello) }
            }
            if phase == .over { slicer.discard() }
            return action
        } catch {
            slicer.discard()
            // A lie is worth more than the loss that followed it.
            if end == nil || end == .lost { end = .failed(error) }
            guard case .protocolViolation(let text) = error else { return .turnAway(error) }
            return .closeForViolation(text)
        }
    }

    /// How long a payload may be where the conversation stands.
    private static func limit(of type: UInt8, in phase: Phase, mayBeRefused: Bool) throws(AgentLinkError) -> Int {
        switch (phase, FrameType(rawValue: type), AgentMessageType(rawValue: type)) {
        case (.greeting, _, .hello): return maxHelloLength
        case (.greeting, _, .failed) where mayBeRefused: return maxShortLength
        case (.reply, _, .failed), (.answer, _, .failed), (.stream, _, .failed), (.stream, _, .exited),
            (.answer, _, .attached):
            return maxShortLength
        case (.reply(let expected), _, let type?) where type == expected: return AgentMessage.maxPayloadLength
        case (.stream, .stdout, _), (.stream, .stderr, _): return maxOutputLength
        case (.stream, .gap, _), (.stream, .credit, _): return maxShortLength
        default: throw .protocolViolation("a message of type 0x\(String(type, radix: 16)) \(place(phase))")
        }
    }

    private static func place(_ phase: Phase) -> String {
        switch phase {
        case .greeting: "instead of hello"
        case .parked: "on an idle connection"
        case .reply(let expected): "instead of \(expected)"
        case .answer: "instead of attached"
        case .stream: "in a stream"
        case .over: "after the end"
        }
    }

    private mutating func take(_ type: UInt8, _ packet: ByteBuffer) throws(AgentLinkError) -> Hello? {
        if phase == .stream, let stream = outputStream(type) {
            append(.output(OutputPacket(stream: stream, packet: packet)), cost: packet.readableBytes)
            return nil
        }
        let payload = packet.readableBytesView.dropFirst(PacketHeader.maxLength)
        if type == AgentMessageType.hello.rawValue { return try hello(payload) }
        do {
            if FrameType(rawValue: type) != nil {
                switch try Frame(type: type, payload: payload) {
                case .gap(let count): append(.gap(count), cost: 0)
                case .credit(let count): append(.credit(count), cost: 0)
                default: break
                }
            } else {
                try take(AgentMessage(type: type, payload: payload))
            }
            return nil
        } catch let error as WireError {
            throw .protocolViolation("message of type 0x\(String(type, radix: 16)): \(error)")
        } catch let error as AgentLinkError {
            throw error
        } catch {
            throw .protocolViolation("message of type 0x\(String(type, radix: 16))")
        }
    }

    private mutating func take(_ message: AgentMessage) throws(AgentLinkError) {
        switch (phase, message) {
        case (.greeting, .failed(let failure)): throw .refused(failure)
        case (.stream, .exited(let report)):
            append(.exited(report), cost: 0)
            phase = .over
        case (.stream, .failed(let failure)):
            append(.failed(failure), cost: 0)
            phase = .over
        case (.answer, .attached):
            answer = message
            phase = .stream
        default:
            answer = message
            phase = .over
        }
    }

    private mutating func hello(_ payload: ByteBufferView.SubSequence) throws(AgentLinkError) -> Hello {
        // The version stands first in all versions; what follows may be laid out in another way.
        let version = payload.prefix(2).reduce(UInt16(0)) { $0 << 8 | UInt16($1) }
        guard payload.count < 2 || version == AgentMessage.protocolVersion else { throw .incompatible(version: version) }
        do {
            guard case .hello(let hello) = try AgentMessage(type: AgentMessageType.hello.rawValue, payload: payload) else {
                throw WireError.invalidField("hello")
            }
            phase = .parked
            bootID = hello.bootID
            return hello
        } catch {
            throw .protocolViolation("hello: \(error)")
        }
    }

    private func outputStream(_ type: UInt8) -> OutputPacket.Stream? {
        switch type {
        case FrameType.stdout.rawValue: .stdout
        case FrameType.stderr.rawValue: .stderr
        default: nil
        }
    }

    private mutating func append(_ event: AgentEvent, cost: Int) {
        events.append(event)
        eventCost += cost + Self.eventOverhead
    }

    // MARK: What is asked

    /// What answers a request, nil if the message is none.
    static func replyType(to message: AgentMessage) -> AgentMessageType? {
        switch message {
        case .signal, .resize, .hangup, .setDeadline, .shutdown, .dismiss: .done
        case .list: .processes
        case .stats: .statistics
        case .start(let request) where !request.flow.isReader: .attached
        default: nil
        }
    }

    /// Whether the agent does the same or nothing when it gets the message a second time.
    static func isRepeatable(_ message: AgentMessage) -> Bool {
        switch message {
        case .start, .attach, .list, .stats, .setDeadline: true
        default: false
        }
    }

    /// The operation is about to be written; from now on an answer is expected.
    mutating func begin(_ phase: Phase) -> Result<Void, AgentLinkError> {
        if let end { return .failure(Self.error(for: end)) }
        self.phase = phase
        return .success(())
    }

    mutating func operationWritten() {
        isOperationWritten = true
    }

    /// The answer once it is there, an error once none can come.
    mutating func takeAnswer() -> Result<AgentMessage, AgentLinkError>? {
        if let answer {
            self.answer = nil
            if case .failed(let failure) = answer { return .failure(.refused(failure)) }
            return .success(answer)
        }
        return end.map { .failure(Self.error(for: $0)) }
    }

    /// Up to `count` events once there is one; an empty batch after the last one.
    mutating func takeEvents(atMost count: Int) -> Result<Batch, AgentLinkError>? {
        var batch = Batch()
        if nextEvent == events.count {
            if phase == .over { return .success(batch) }
            switch end {
            case .lost: return .success(batch)
            case .failed(let error): return .failure(error)
            case nil: return nil
            }
        }
        if nextEvent == 0, count >= events.count {
            swap(&batch.events, &events)
        } else {
            batch.events = Array(events[nextEvent...].prefix(count))
            nextEvent += batch.events.count
        }
        if nextEvent >= events.count {
            events.removeAll(keepingCapacity: true)
            nextEvent = 0
            eventCost = 0
            // What waited uncut for room has it now; after the connection's end this is the only place that looks at it.
            if case .closeForViolation(let text) = advance() { batch.violation = text }
            if isReadingPaused, end == nil { batch.resumesReading = startReading() }
        }
        return .success(batch)
    }

    // MARK: What goes out

    /// Makes room for bytes to be sent, once there is.
    mutating func reserveSending(_ count: Int) -> Result<Void, AgentLinkError>? {
        if let end { return .failure(Self.error(for: end)) }
        guard unsentBytes < sendBufferBytes else { return nil }
        unsentBytes += count
        return .success(())
    }

    mutating func sent(_ count: Int) {
        unsentBytes -= count
    }

    private static func error(for end: End) -> AgentLinkError {
        switch end {
        case .lost: .connectionLost
        case .failed(let error): error
        }
    }
}
