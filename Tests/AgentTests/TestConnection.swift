import ExecboxWire
import Glibc

/// The server's end of one connection, blocking.
final class TestConnection {
    enum Packet: Equatable {
        case frame(Frame)
        case message(AgentMessage)
    }

    /// What a stream brought up to its end.
    struct Outcome {
        var stdout: [UInt8] = []
        var stderr: [UInt8] = []
        /// Both as they came, without gaps.
        var bytes: [UInt8] = []
        var gaps: [UInt64] = []
        /// Number of output frames.
        var frames = 0
        var longestFrame = 0
        var report: ExitReport?
        var failure: AgentFailure?

        var text: String { String(decoding: stdout, as: UTF8.self) }
        var errorText: String { String(decoding: stderr, as: UTF8.self) }
    }

    private let descriptor: Int32
    private var isOpen = true
    private var decoder = PacketDecoder()
    let hello: Hello
    private(set) var first: UInt64 = 0
    private(set) var end: UInt64 = 0

    init(_ descriptor: Int32) throws {
        self.descriptor = descriptor
        do {
            var decoder = PacketDecoder()
            guard case .message(.hello(let hello)) = try Self.next(descriptor, &decoder) else {
                throw TestAgent.Failure.unexpected("no hello")
            }
            self.hello = hello
            self.decoder = decoder
        } catch {
            Glibc.close(descriptor)
            throw error
        }
    }

    deinit { close() }

    /// As a killed server would.
    func close() {
        if isOpen { Glibc.close(descriptor) }
        isOpen = false
    }

    func stopSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    func send(bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            try TestAgent.wait(for: descriptor, POLLOUT, "room in the socket")
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if count < 0, errno == EAGAIN { continue }
            guard count > 0 else { throw TestAgent.Failure.cannot("send", errno: errno) }
            sent += count
        }
    }

    func send(_ frame: Frame) throws { try send(bytes: frame.bytes) }
    func send(_ message: AgentMessage) throws { try send(bytes: message.bytes) }

    func next() throws -> Packet { try Self.next(descriptor, &decoder) }

    /// Whether something is there to be read now.
    var hasInput: Bool {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&waiting, 1, 0) > 0
    }

    /// - Returns: nil once the agent has closed.
    func nextIfOpen() throws -> Packet? {
        do {
            return try next()
        } catch TestAgent.Failure.connectionEnded {
            return nil
        }
    }

    func ask(_ message: AgentMessage) throws -> AgentMessage {
        try send(message)
        guard case .message(let reply) = try next() else { throw TestAgent.Failure.unexpected("a frame for a reply") }
        return reply
    }

    /// Sends start or attach and reads `attached`.
    func open(_ message: AgentMessage) throws {
        switch try ask(message) {
        case .attached(let first, let end): (self.first, self.end) = (first, end)
        case .failed(let failure): throw failure
        case let other: throw TestAgent.Failure.unexpected("\(other)")
        }
    }

    /// Everything up to the end.
    func outcome() throws -> Outcome { try read { _ in false } }

    /// Everything up to the end, or until `isEnough`.
    func read(until isEnough: (Outcome) -> Bool) throws -> Outcome {
        var outcome = Outcome()
        while !isEnough(outcome) {
            switch try next() {
            case .frame(.stdout(let data)):
                outcome.stdout += data
                outcome.bytes += data
                outcome.frames += 1
                outcome.longestFrame = max(outcome.longestFrame, data.count)
            case .frame(.stderr(let data)):
                outcome.stderr += data
                outcome.bytes += data
                outcome.frames += 1
            case .frame(.gap(let count)): outcome.gaps.append(count)
            case .frame(.credit): break
            case .message(.exited(let report)):
                outcome.report = report
                return outcome
            case .message(.failed(let failure)):
                outcome.failure = failure
                return outcome
            case let other: throw TestAgent.Failure.unexpected("\(other)")
            }
        }
        return outcome
    }

    private static func next(_ descriptor: Int32, _ decoder: inout PacketDecoder) throws -> Packet {
        while true {
            if let packet = try decoder.next() {
                if FrameType(rawValue: packet.type) != nil { return .frame(try Frame(type: packet.type, payload: packet.payload)) }
                return .message(try AgentMessage(type: packet.type, payload: packet.payload))
            }
            try TestAgent.wait(for: descriptor, POLLIN, "a packet")
            let bytes = [UInt8](unsafeUninitializedCapacity: 128 * 1024) { buffer, count in
                count = max(0, recv(descriptor, buffer.baseAddress, buffer.count, 0))
            }
            guard !bytes.isEmpty else { throw TestAgent.Failure.connectionEnded }
            decoder.append(bytes)
        }
    }
}
