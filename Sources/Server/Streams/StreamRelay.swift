import ExecboxAPI
import ExecboxAgentClient
import ExecboxCore
import ExecboxModel
import ExecboxWebSocket
import ExecboxWire
import Logging
import NIOCore
import Synchronization

/// Connects a client's WebSocket with one process of a session, from its first byte to its exit.
///
/// Output is passed on, not translated; it comes from the agent, and what the agent no longer holds from the database. A lost agent
/// connection is resumed at the next byte; a lost client ends the relay and nothing else.
struct StreamRelay: Sendable {
    enum Target: Equatable, Sendable {
        case main
        /// `isRetained`: never hung up when its client goes.
        case exec(id: String, isRetained: Bool)

        var processID: String {
            switch self {
            case .main: AgentMessage.mainProcessID
            case .exec(let id, _): id
            }
        }
    }

    /// Ends the stream on purpose: an Error frame if there is a text, then this close code.
    private struct Ending: Error {
        var code: WebSocketCloseCode
        var text: String?
    }

    /// How one connection to the agent ended.
    private enum Outcome: Sendable {
        case exited(ExitReport)
        case lost
    }

    let services: SessionServices
    let sessions: Sessions
    let execs: Execs
    let session: Session
    let target: Target
    let query: StreamQuery
    let sendsStdin: Bool
    let log: Logger

    /// Returns once the close handshake is done or the client has gone.
    func run(_ socket: WebSocketConnection) async {
        let client = ClientStream(
            socket: socket,
            encoding: query.encoding,
            understandsExtensions: socket.subprotocol == ClientStream.subprotocol
        )
        await services.activity.during(session.id) {
            await withTaskGroup { group in
                group.addTask { await relay(client) }
                group.addTask { try? await socket.channel.closeFuture.get() }
                await group.next()
                group.cancelAll()
            }
        }
        await hangUpIfClientLeft(socket)
    }

    private func relay(_ client: ClientStream) async {
        do {
            try await deliver(to: client)
            await client.socket.close(.normal)
        } catch let ending as Ending {
            if let text = ending.text { try? await client.send(.error(text)) }
            await client.socket.close(ending.code)
        } catch is CancellationError {
            return
        } catch is WebSocketError {
            return
        } catch {
            let error = ExecboxError(any: error)
            log.warning("A stream failed", metadata: ["detail": "\(error.privateDetail ?? error.message)"])
            try? await client.send(.error(error.message))
            await client.socket.close(Self.closeCode(error))
        }
    }

    private static func closeCode(_ error: ExecboxError) -> WebSocketCloseCode {
        switch error.code {
        case .unauthenticated: .unauthorized
        case .notFound: .notFound
        case .conflict: .conflict
        case .gone: .gone
        case .rateLimited, .quotaExceeded: .rateLimited
        default: .internalError
        }
    }

    /// Whoever closes first and on purpose hangs up; a lost connection is none, and has 60 s to come back.
    private func hangUpIfClientLeft(_ socket: WebSocketConnection) async {
        guard case .exec(let id, isRetained: false) = target, socket.closedByPeer,
            socket.closeCode == .normal || socket.closeCode == .goingAway
        else { return }
        do {
            try await execs.hangUp(id, in: session)
        } catch {
            // It has ended, or its session has.
            log.debug("Hanging up failed", metadata: ["error": "\(error)"])
        }
    }

    // MARK: Output

    private func deliver(to client: ClientStream) async throws {
        var offset = Int64(clamping: query.offset ?? 0)
        var isFirst = true
        // The request has read it a moment ago.
        var known: Session? = session.status == .running ? session : nil
        while true {
            let session = if let known { known } else { try await patiently { try await sessions.settled(self.session.id) } }
            known = nil
            if session.status.isTerminal {
                guard target == .main else { throw Ending(code: .conflict, text: "session \(session.reason?.rawValue ?? "ended")") }
                try await replay(session, from: offset, mayBeInHole: !isFirst || query.offset == nil, to: client)
                return try await finish(session, client)
            }
            do {
                let link = try await services.link(to: session)
                switch try await relay(link, from: &offset, isFirst: &isFirst, to: client) {
                case .exited(let report): return try await finish(report, client)
                case .lost: break
                }
            } catch let error as AgentLinkError {
                try handle(error)
            } catch let error as ExecboxError where error.code == .conflict || error.code == .unavailable {
                // The sandbox is gone, or its engine does not answer: the session's runner finds out which.
                log.debug("No agent to stream from", metadata: ["error": "\(error.message)"])
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// The database may be away for a while: a stream waits for it, as its process does.
    private func patiently<Value>(_ body: () async throws -> Value) async throws -> Value {
        while true {
            do {
                return try await body()
            } catch  where ExecboxError(any: error).code == .unavailable {
                try await Task.sleep(for: .milliseconds(250))
            }
        }
    }

    private func handle(_ error: AgentLinkError) throws {
        switch error {
        case .refused(let failure):
            switch failure.code {
            case .slowReader: throw Ending(code: .tooSlow, text: failure.message)
            case .notFound where target != .main: throw Ending(code: .notFound, text: "the exec is unknown or has been forgotten")
            case .invalidRequest: throw Ending(code: .conflict, text: failure.message)
            default: break
            }
        case .cancelled: throw CancellationError()
        default: break
        }
        log.debug("The agent's stream ended", metadata: ["error": "\(error)"])
    }

    private func relay(_ link: AgentLink, from offset: inout Int64, isFirst: inout Bool, to client: ClientStream) async throws -> Outcome {
        let request = AttachRequest(
            processID: target.processID,
            offset: UInt64(offset),
            flow: query.flow == .live ? .live : .lossless,
            sendsStdin: sendsStdin
        )
        let position = Position(offset)
        let wasFirst = isFirst
        defer {
            offset = position.value
            isFirst = isFirst && !position.hasBegun
        }
        return try await link.withStream(.attach(request)) { stream in
            let held = Int64(clamping: stream.first)
            if held > position.value {
                let mayBeInHole = !wasFirst || query.offset == nil
                position.value = try await deliverRecorded(from: position.value, to: held, mayBeInHole: mayBeInHole, client)
            }
            position.begin()
            let credit = StdinCredit(AgentMessage.initialStdinCredit)
            // Whatever the client does wrong ends the stream though the process may write nothing.
            return try await withThrowingTaskGroup(of: Outcome?.self) { group in
                group.addTask {
                    try await takeInput(from: client, to: stream, credit: credit)
                    return nil
                }
                group.addTask { try await pass(stream, credit: credit, position: position, to: client) }
                defer { group.cancelAll() }
                for try await outcome in group {
                    if let outcome { return outcome }
                }
                throw CancellationError()
            }
        }
    }

    /// How far the client is served, across agent connections.
    private final class Position: Sendable {
        private let state: Mutex<(offset: Int64, hasBegun: Bool)>

        init(_ offset: Int64) { state = Mutex((offset, false)) }

        var value: Int64 {
            get { state.withLock { $0.offset } }
            set { state.withLock { $0.offset = newValue } }
        }
        var hasBegun: Bool { state.withLock { $0.hasBegun } }

        func begin() { state.withLock { $0.hasBegun = true } }

        /// Sizes come from a sandbox: they cannot overflow the offset.
        func advance(by count: Int64) {
            state.withLock { $0.offset = $0.offset.addingReportingOverflow(count).overflow ? .max : $0.offset + count }
        }
    }

    private func pass(_ stream: AgentStream, credit: StdinCredit, position: Position, to client: ClientStream) async throws -> Outcome {
        var packets: [ByteBuffer] = []
        while true {
            let events = try await stream.nextBatch()
            guard !events.isEmpty else { return .lost }
            for event in events {
                switch event {
                case .output(let packet):
                    packets.append(packet.packet)
                    position.advance(by: Int64(packet.payloadLength))
                case .gap(let missing):
                    try await client.send(packets: packets)
                    packets.removeAll(keepingCapacity: true)
                    try await client.send(.gap(missing))
                    position.advance(by: Int64(clamping: missing))
                case .credit(let bytes):
                    credit.add(bytes)
                    try await client.send(.credit(bytes))
                case .exited(let report):
                    try await client.send(packets: packets)
                    return .exited(report)
                case .failed(let failure): throw AgentLinkError.refused(failure)
                }
            }
            try await client.send(packets: packets)
            packets.removeAll(keepingCapacity: true)
        }
    }

    // MARK: Recorded output

    private func replay(_ session: Session, from offset: Int64, mayBeInHole: Bool, to client: ClientStream) async throws {
        let usage = session.usage
        let recorded = try await patiently { try await services.outputs.position(session.id) }?.recorded ?? 0
        let end = max(recorded, (usage?.stdoutBytes ?? 0) + (usage?.stderrBytes ?? 0))
        guard offset <= end else { throw Ending(code: .conflict, text: "offset \(offset) is behind the end of the output, \(end)") }
        _ = try await deliverRecorded(from: offset, to: end, mayBeInHole: mayBeInHole, client)
    }

    /// Everything recorded between two offsets, holes as Gaps. Returns `end`.
    private func deliverRecorded(from offset: Int64, to end: Int64, mayBeInHole: Bool, _ client: ClientStream) async throws -> Int64 {
        var recording = RecordedOutput(session.id, from: offset, outputs: services.outputs)
        var isFirst = true
        while recording.offset < end {
            let elements = try await patiently { try await recording.next(end: end) }
            if elements.isEmpty { break }
            for element in elements {
                switch element {
                case .gap(let missing):
                    if isFirst, !mayBeInHole { throw gone(offset) }
                    try await client.send(.gap(UInt64(missing)))
                case .piece(let piece):
                    let payload = Array(piece.payload)
                    try await client.send(piece.isStderr ? .stderr(payload) : .stdout(payload))
                }
                isFirst = false
            }
        }
        if let missing = recording.skip(to: end) {
            if isFirst, !mayBeInHole { throw gone(offset) }
            try await client.send(.gap(UInt64(missing)))
        }
        return end
    }

    private func gone(_ offset: Int64) -> Ending {
        Ending(code: .gone, text: "GONE the output at offset \(offset) is no longer kept")
    }

    // MARK: End

    /// The process has ended. Main's exit is told only once it stands in the database: whoever asks then sees an ended session.
    private func finish(_ report: ExitReport, _ client: ClientStream) async throws {
        guard target == .main else {
            if try await patiently({ try await execs.isSessionEnd(report, of: session) }) {
                let ended = try await patiently { try await sessions.ended(session.id, until: nil) }
                throw Ending(code: .conflict, text: "session \(ended?.reason?.rawValue ?? "ended")")
            }
            if report.cause != .exited, report.cause != .signaled { try await client.send(.error("\(report.reason)")) }
            return try await client.send(.exit(report.exitCode), reason: report.reason)
        }
        guard let ended = try await patiently({ try await sessions.ended(session.id, until: nil) }) else { throw CancellationError() }
        try await finish(ended, client)
    }

    private func finish(_ session: Session, _ client: ClientStream) async throws {
        let reason = session.reason ?? .backendLost
        let text = session.error.map { "\(reason.rawValue): \($0)" } ?? reason.rawValue
        guard let exitCode = session.exitCode else { throw Ending(code: .conflict, text: text) }
        if reason != .exited, reason != .signaled { try await client.send(.error(text)) }
        try await client.send(.exit(exitCode), reason: reason.rawValue)
    }

    // MARK: Input

    private func takeInput(from client: ClientStream, to stream: AgentStream, credit: StdinCredit) async throws {
        do {
            while let frame = try await client.receive() {
                services.activity.touch(session.id)
                switch frame {
                case .stdin(let data): try await send(data[...], to: stream, credit: credit)
                case .stdinClose: if sendsStdin { try await stream.send(.stdinClose) }
                case .resize(let columns, let rows): await ask(.resize(processID: target.processID, columns: columns, rows: rows), client)
                case .signal(let name):
                    guard let signal = SignalBody.canonical(name) else {
                        throw ClientStream.Violation(code: .protocolError, text: "\(name) is no signal, such as SIGINT")
                    }
                    await ask(.signal(processID: target.processID, name: signal), client)
                case .stdout, .stderr, .exit, .error, .gap, .credit:
                    throw ClientStream.Violation(code: .protocolError, text: "frame type \(frame.type) is sent by the server only")
                }
            }
        } catch let violation as ClientStream.Violation {
            throw Ending(code: violation.code, text: violation.text)
        }
    }

    private func send(_ data: ArraySlice<UInt8>, to stream: AgentStream, credit: StdinCredit) async throws {
        guard sendsStdin else { return }
        var rest = data
        while !rest.isEmpty {
            let count = try await credit.take(upTo: rest.count)
            try await stream.send(.stdin(Array(rest.prefix(count))))
            rest = rest.dropFirst(count)
        }
    }

    /// On a connection of its own, so that a full stdin never hides ^C. A process that has ended takes no signal; that is no error.
    private func ask(_ message: AgentMessage, _ client: ClientStream) async {
        do {
            _ = try await services.link(to: session).request(message)
        } catch {
            log.debug("The agent refused", metadata: ["error": "\(error)"])
        }
    }
}
