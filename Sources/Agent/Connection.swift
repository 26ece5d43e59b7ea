import CAgent
import ExecboxWire

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// One connection with a server: first idle, then one operation's, then gone.
final class Connection {
    enum State: Equatable {
        /// A server that came to us has to show the secret.
        case unproved
        /// Greeted; the first message will name the operation.
        case idle
        /// The one answer is on its way or there.
        case answered
        case streaming
        case closed
    }

    /// What the peer is told last before the connection is closed.
    private enum Ending {
        case none
        /// Once all is sent.
        case whenFlushed
    }

    private static let maxSecretLength = 256
    private static let proofMilliseconds: UInt64 = 5000
    private static let lingerMilliseconds: UInt64 = 30_000
    /// Control messages that wait for a socket nobody reads from are no reason to keep it.
    private static let maxControlBytes = 64 * 1024
    private static let creditStep = 64 * 1024

    unowned let agent: Agent
    /// The folder's socket it was dialled to; nil for accepted ones.
    let socketName: String?
    let descriptor: Int32
    private(set) var state: State
    private var decoder: PacketDecoder
    private var ending = Ending.none
    private var timer: Timers.ID?

    // Sending: see Connection+Sending.
    /// Bytes that come before anything else: control messages, and headers and frames that were begun.
    var outbox: [UInt8] = []
    var outboxSent = 0
    /// Control messages for the next border between two frames.
    var control: [UInt8] = []
    /// What a full socket left of a frame's header.
    var unsentHeader: [UInt8]?
    var isBlocked = false
    /// Nothing may be sent any more; it is about to be closed.
    var isBroken = false

    // As a reader of `process`.
    private(set) var process: ChildProcess?
    private(set) var flow = StreamFlow.live
    private(set) var epoch: UInt64 = 0
    /// The first output byte that its socket has not taken.
    var position: UInt64 = 0
    /// How much of the frame in progress is still to be sent.
    var frameLeft = 0
    /// How far a recorder's burst goes, and when the next one begins.
    var burstEnd: UInt64 = 0
    var burstTimer: Timers.ID?
    var isExitSent = false
    /// Where it stood when it was last found to take enough.
    var mark: (time: UInt64, position: UInt64) = (0, 0)

    // As a writer.
    private var sendsStdin = false
    private var credit = Int(AgentMessage.initialStdinCredit)
    private var creditToGrant = 0

    /// - Returns: nil, and leaves the descriptor open, if it cannot be watched.
    init?(agent: Agent, descriptor: Int32, socketName: String?) {
        self.agent = agent
        self.descriptor = descriptor
        self.socketName = socketName
        state = .unproved
        decoder = PacketDecoder(maxPayloadLength: Self.maxSecretLength + 4)
        let added = agent.poller.add(descriptor, Poller.readable) { [unowned self] events in handle(events) }
        guard added else { return nil }
    }

    /// - Parameter isProved: false if the server has to show the secret before anything is said.
    func open(isProved: Bool) {
        if isProved {
            greet()
        } else {
            timer = agent.after(milliseconds: Self.proofMilliseconds) { [unowned self] in close() }
        }
    }

    private func greet() {
        agent.cancel(&timer)
        decoder.maxPayloadLength = AgentMessage.maxPayloadLength
        state = .idle
        send(agent.hello)
    }

    // MARK: Events

    private func handle(_ events: UInt32) {
        // The poller's closure does not keep us.
        withExtendedLifetime(self) {
            if events & (Poller.readable | Poller.broken) != 0 { readInput() }
            guard state != .closed, events & Poller.writable != 0 else { return }
            isBlocked = false
            pump()
            process?.readersMoved()
        }
    }

    /// Stdin that the process does not take stays in the socket.
    func updateInterest() {
        guard state != .closed else { return }
        let isPaused = sendsStdin && process?.isStdinFull == true
        agent.poller.change(descriptor, (isPaused ? 0 : Poller.readable) | (isBlocked ? Poller.writable : 0))
    }

    private func readInput() {
        let count = recv(descriptor, agent.scratch.baseAddress, agent.scratch.count, 0)
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else {
            // A peer that closes with unread bytes behind it resets the connection.
            let isClean = count == 0 && execbox_unsent_bytes(descriptor) == 0
            return close(delivered: isClean && isExitSent && isFlushed)
        }
        guard ending == .none else { return }
        decoder.append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(agent.scratch)[..<count]))
        do {
            while state != .closed, ending == .none, let packet = try decoder.next() { try receive(packet) }
        } catch let error as AgentFailure {
            fail(error)
        } catch {
            fail(AgentFailure(.invalidRequest, "\(error)"))
        }
        updateInterest()
    }

    private func receive(_ packet: PacketDecoder.Packet) throws {
        switch state {
        case .unproved:
            guard case .secret(let secret) = try AgentMessage(type: packet.type, payload: packet.payload) else {
                throw AgentFailure(.forbidden, "the secret has to come first")
            }
            try agent.check(secret: secret)
            greet()
        case .idle: agent.perform(try AgentMessage(type: packet.type, payload: packet.payload), on: self)
        case .streaming: try receiveInStream(packet)
        case .answered, .closed: throw AgentFailure(.invalidRequest, "one connection carries one operation")
        }
    }

    private func receiveInStream(_ packet: PacketDecoder.Packet) throws {
        guard let process else { return }
        if packet.type == AgentMessageType.acknowledge.rawValue {
            if case .acknowledge(let epoch, let offset) = try AgentMessage(type: packet.type, payload: packet.payload) {
                process.acknowledge(epoch: epoch, offset: offset)
            }
            return
        }
        switch FrameType(rawValue: packet.type) {
        case .stdin?:
            guard sendsStdin else { throw AgentFailure(.invalidRequest, "this stream sends no stdin") }
            credit -= packet.payload.count
            guard credit >= 0 else { throw AgentFailure(.invalidRequest, "more stdin than there was credit for") }
            process.write(packet.payload, from: self)
        case .stdinClose?:
            guard sendsStdin else { throw AgentFailure(.invalidRequest, "this stream sends no stdin") }
            process.closeInput(from: self)
        case .resize?:
            if case .resize(let columns, let rows) = try Frame(type: packet.type, payload: packet.payload) {
                _ = process.resize(columns: columns, rows: rows)
            }
        case .signal?:
            if case .signal(let name) = try Frame(type: packet.type, payload: packet.payload), let number = SignalName.number(of: name) {
                process.signal(number)
            }
        default: throw AgentFailure(.invalidRequest, "type \(packet.type) has no place in a stream")
        }
    }

    // MARK: Answers

    /// Sends the operation's one reply; the connection is closed once the server has closed it.
    func answer(_ message: AgentMessage) {
        guard state != .closed else { return }
        state = .answered
        send(message)
        linger()
    }

    /// Says why, and closes as soon as that is sent, as far as the socket takes it.
    func fail(_ failure: AgentFailure) {
        guard state != .closed, ending == .none else { return }
        leaveProcess(delivered: false)
        state = .answered
        ending = .whenFlushed
        queue(AgentMessage.failed(failure).bytes)
        pump()
        linger()
    }

    /// A server that does not close gets closed.
    private func linger() {
        guard state != .closed, timer == nil else { return }
        timer = agent.after(milliseconds: Self.lingerMilliseconds) { [unowned self] in close() }
    }

    /// From now on this is a reader of `process`, beginning at `offset` or the oldest byte behind it.
    func stream(_ process: ChildProcess, from offset: UInt64, flow: StreamFlow, epoch: UInt64, sendsStdin: Bool) {
        guard offset <= process.output.end else {
            return fail(AgentFailure(.invalidRequest, "offset \(offset) is beyond the end at \(process.output.end)"))
        }
        self.flow = flow
        self.epoch = epoch
        if flow == .recorder {
            do {
                try process.admitRecorder(self)
            } catch {
                return fail(error)
            }
        }
        self.process = process
        self.sendsStdin = sendsStdin
        position = max(offset, process.output.start)
        mark = (0, position)
        state = .streaming
        // Stdin comes in frames no longer than its credit; everything else is short.
        decoder.maxPayloadLength = Int(AgentMessage.initialStdinCredit)
        process.add(self)
        send(.attached(first: position, end: process.output.end))
        process.readersMoved()
    }

    /// The process, or nobody, has taken so much of this connection's stdin.
    func stdinTaken(_ count: Int) {
        creditToGrant += count
        guard creditToGrant >= Self.creditStep, state == .streaming else { return }
        credit += creditToGrant
        let frame = Frame.credit(UInt32(creditToGrant))
        creditToGrant = 0
        queue(frame.bytes)
        pump()
    }

    // MARK: Sending

    func send(_ message: AgentMessage) {
        queue(message.bytes)
        pump()
    }

    private func queue(_ bytes: [UInt8]) {
        guard state != .closed else { return }
        control += bytes
        // A list can be long; what comes on top of one that is not taken is too much.
        if control.count > Self.maxControlBytes, control.count > bytes.count { close() }
    }

    /// Everything that was to be sent is with the kernel.
    var isFlushed: Bool { outboxSent == outbox.count && control.isEmpty && frameLeft == 0 }

    /// All that can be sent has been.
    func flushed() {
        if ending == .whenFlushed, isFlushed { close() }
        if isExitSent { linger() }
    }

    // MARK: End

    func close(delivered: Bool = false) {
        guard state != .closed else { return }
        state = .closed
        agent.cancel(&timer)
        agent.poller.remove(descriptor)
        closeSocket()
        leaveProcess(delivered: delivered)
        agent.closed(self)
    }

    private func closeSocket() {
        #if canImport(Musl)
            Musl.close(descriptor)
        #else
            Glibc.close(descriptor)
        #endif
    }

    private func leaveProcess(delivered: Bool) {
        agent.cancel(&burstTimer)
        frameLeft = state == .closed ? 0 : frameLeft
        guard let process else { return }
        // What was begun has to be ended before the failure can be told.
        if frameLeft > 0 { rescueFrame(from: process.output) }
        self.process = nil
        process.remove(self, delivered: delivered)
    }
}
