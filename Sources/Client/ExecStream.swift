import ExecboxAPI
import ExecboxWebSocket
import ExecboxWire
import NIOCore
import NIOHTTP1
import Synchronization

/// A process's output as a sequence of events, and the way to its stdin.
///
/// Whoever iterates drives it: connections that are lost are resumed inside `next`, credit for stdin arrives there too. So read and write
/// from two tasks. For one iterator; writing is for any number of tasks. Ends with `exit`; leaving earlier needs `detach`, or the connection
/// stays open until the value is let go of.
public final class ExecStream: AsyncSequence, Sendable {
    public typealias Element = StreamEvent

    /// What a message may carry.
    private static let stdinPiece = 64 * 1024

    private struct State {
        var connection: WebSocketConnection
        /// Payload and gap bytes received: what a resumption asks for.
        var offset: UInt64
        /// So many bytes are to be passed over, after a resumption into a hole.
        var skip: UInt64 = 0
        var size: TerminalSize?
        var isStdinClosed = false
        var isFinished = false
        var lastError: String?
    }

    private let transport: Transport
    private let resume: ResumePolicy
    private let path: @Sendable (_ offset: UInt64?, _ execID: String?) -> String
    private let state: Mutex<State>
    private let gate = StdinGate()
    /// The exec's id; nil for a session's main process.
    public let execID: String?

    private init(
        transport: Transport, resume: ResumePolicy, path: @escaping @Sendable (UInt64?, String?) -> String, connection: WebSocketConnection,
        offset: UInt64, execID: String?
    ) {
        self.transport = transport
        self.resume = resume
        self.path = path
        self.execID = execID
        state = Mutex(State(connection: connection, offset: offset))
        gate.opened(connection, countsCredit: connection.subprotocol != nil)
    }

    static func open(
        transport: Transport, offset: UInt64?, resume: ResumePolicy,
        path: @escaping @Sendable (_ offset: UInt64?, _ execID: String?) -> String
    ) async throws -> ExecStream {
        let (connection, headers) = try await transport.open(path(offset, nil))
        return ExecStream(
            transport: transport, resume: resume, path: path, connection: connection, offset: offset ?? 0,
            execID: headers.first(name: "X-Execbox-Exec-Id"))
    }

    deinit {
        state.withLock { $0.connection.beginClose(.normal) }
    }

    /// Payload and gap bytes received so far.
    public var offset: UInt64 { state.withLock { $0.offset } }

    // MARK: Out

    /// Returns once all of `bytes` has been taken; waits for credit and while a lost connection is resumed.
    ///
    /// What had been sent when a connection was lost, but had not reached the process, is lost with it.
    public func write(_ bytes: some Collection<UInt8>) async throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let (connection, count) = try await gate.reserve(upTo: Swift.min(rest.count, Self.stdinPiece))
            do {
                try await connection.send(binary: ByteBuffer(bytes: Frame.stdin(Array(rest.prefix(count))).bytes))
                rest = rest.dropFirst(count)
            } catch WebSocketError.closed {
                // Not sent: the next connection takes it.
                try await waitForAnother(than: connection)
            }
        }
    }

    /// End of file for the process. Further writes are a mistake.
    public func closeStdin() async throws {
        state.withLock { $0.isStdinClosed = true }
        try await send(.stdinClose)
    }

    public func resize(columns: UInt16, rows: UInt16) async throws {
        state.withLock { $0.size = TerminalSize(columns: columns, rows: rows) }
        try await send(.resize(columns: columns, rows: rows))
    }

    /// To the whole process group; `SIGINT` …
    public func signal(_ name: String) async throws { try await send(.signal(name)) }

    private func send(_ frame: Frame) async throws {
        while true {
            let (connection, _) = try await gate.reserve(upTo: 0)
            do {
                return try await connection.send(binary: ByteBuffer(bytes: frame.bytes))
            } catch WebSocketError.closed {
                try await waitForAnother(than: connection)
            }
        }
    }

    /// The iterator has not noticed yet that the connection is gone.
    private func waitForAnother(than connection: WebSocketConnection) async throws {
        let isSame = state.withLock { $0.connection === connection }
        if isSame { gate.lost() }
        _ = try await gate.reserve(upTo: 0)
    }

    /// Leaves without hurting the process: a session's main goes on. An exec that nobody else watches is hung up, unless it was detached or
    /// has an id of its own.
    public func detach() async {
        gate.end()
        let connection = state.withLock { state in
            state.isFinished = true
            return state.connection
        }
        await connection.close()
    }

    // MARK: In

    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let stream: ExecStream
        public mutating func next() async throws -> StreamEvent? { try await stream.next() }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: self) }

    /// The next event; nil behind `exit`, or when the server ended the stream with 1000 or we detached.
    ///
    /// - Throws: `ExecboxClientError` when the stream is over without an exit, or a cancellation, after which it can be called again.
    public func next() async throws -> StreamEvent? {
        while true {
            let (connection, isFinished) = state.withLock { ($0.connection, $0.isFinished) }
            if isFinished { return nil }
            switch await connection.receive() {
            case .binary(let message):
                if let event = try event(of: message) { return event }
            case .text: throw violated("a text message")
            case nil:
                try Task.checkCancellation()
                guard try await goesOn(after: connection) else { return nil }
            }
        }
    }

    private func violated(_ what: String) -> ExecboxClientError {
        finish(.protocolError)
        return ExecboxClientError(.invalidResponse, "the server sent \(what) where a frame belongs")
    }

    private func finish(_ code: WebSocketCloseCode = .normal) {
        gate.end()
        let connection = state.withLock { state in
            state.isFinished = true
            return state.connection
        }
        connection.beginClose(code)
    }

    private func event(of message: ByteBuffer) throws -> StreamEvent? {
        var rest = message
        // Output is most of what comes: taken without the general decoder.
        if let type = rest.readInteger(as: UInt8.self), type == FrameType.stdout.rawValue || type == FrameType.stderr.rawValue,
            let length = rest.readInteger(as: UInt32.self), rest.readableBytes == Int(length)
        {
            guard let skipped = received(UInt64(length)),
                let bytes = rest.getBytes(at: rest.readerIndex + skipped, length: Int(length) - skipped)
            else { return nil }
            return type == FrameType.stdout.rawValue ? .stdout(bytes) : .stderr(bytes)
        }
        let frame: Frame
        do {
            frame = try Frame(message.readableBytesView)
        } catch {
            throw violated("\(error)")
        }
        switch frame {
        case .exit(let code):
            finish()
            return .exit(code)
        case .gap(let count):
            guard let skipped = received(count) else { return nil }
            return .gap(count - UInt64(skipped))
        case .credit(let count):
            gate.add(credit: count)
            return nil
        case .error(let text):
            state.withLock { $0.lastError = text }
            // What follows is a resumption behind the hole, which brings its own Gap.
            return text.hasPrefix("GONE") ? nil : .error(text)
        default: throw violated("a frame of a client")
        }
    }

    /// Counts `length` bytes of output.
    ///
    /// - Returns: how many of them had been received before; nil if that is all of them.
    private func received(_ length: UInt64) -> Int? {
        state.withLock { state in
            let skipped = Swift.min(state.skip, length)
            state.skip -= skipped
            state.offset &+= length - skipped
            return skipped > 0 && skipped == length ? nil : Int(clamping: skipped)
        }
    }

    // MARK: Resuming

    /// - Returns: false if the stream has come to its end.
    private func goesOn(after connection: WebSocketConnection) async throws -> Bool {
        let (isFinished, lastError) = state.withLock { ($0.isFinished, $0.lastError) }
        if isFinished { return false }
        let end = connection.end ?? .lost("")
        switch end.code {
        case .normal:
            finish()
            return false
        case .goingAway, .lost, .tooSlow, .noCode:
            try await reconnect(from: offset, cause: end)
        case .gone:
            // The explicit offset lies in a hole: everything kept again, and what we have is passed over.
            state.withLock { $0.skip = $0.offset }
            try await reconnect(from: nil, cause: end)
        default:
            finish()
            let codes: [WebSocketCloseCode: ExecboxClientError.Code] = [
                .unauthorized: .unauthorized, .notFound: .notFound, .conflict: .conflict, .rateLimited: .rateLimitExceeded,
            ]
            let text = lastError ?? (end.reason.isEmpty ? "the server closed the stream with code \(end.code.rawValue)" : end.reason)
            throw ExecboxClientError(codes[end.code] ?? .streamLost, text)
        }
        return true
    }

    private func reconnect(from offset: UInt64?, cause: WebSocketEnd) async throws {
        gate.lost()
        let clock = ContinuousClock()
        let start = clock.now
        var attempt = 0
        var failure = ExecboxClientError(
            .streamLost, "the stream was lost: \(cause.reason.isEmpty ? "code \(cause.code.rawValue)" : cause.reason)")
        while resume.giveUpAfter.map({ clock.now - start < $0 }) ?? true {
            try await Task.sleep(for: resume.delay(before: attempt))
            attempt += 1
            do {
                let (connection, _) = try await transport.open(path(offset, execID))
                return try await resumed(on: connection)
            } catch let error as ExecboxClientError {
                failure = error
                guard error.isTransient else { break }
                if let seconds = error.retryAfter { try await Task.sleep(for: .seconds(Swift.min(seconds, 30))) }
            }
        }
        finish()
        throw failure
    }

    private func resumed(on connection: WebSocketConnection) async throws {
        let (size, isStdinClosed, isFinished) = state.withLock { state in
            state.connection = connection
            state.lastError = nil
            return (state.size, state.isStdinClosed, state.isFinished)
        }
        guard !isFinished else { return connection.beginClose(.normal) }
        do {
            if let size { try await connection.send(binary: ByteBuffer(bytes: Frame.resize(columns: size.columns, rows: size.rows).bytes)) }
            // It may have been lost with the connection; twice does no harm.
            if isStdinClosed { try await connection.send(binary: ByteBuffer(bytes: Frame.stdinClose.bytes)) }
        } catch WebSocketError.closed {
            // Noticed by the next `receive`.
        }
        gate.opened(connection, countsCredit: connection.subprotocol != nil)
    }
}
