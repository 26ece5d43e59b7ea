import Synchronization

/// One request and its answer, shared between the tasks that wait for it and libcurl's thread.
///
/// Everything is behind one lock and no continuation is resumed while it is held. The first end wins: an answer that ended cannot be
/// cancelled, a cancelled one cannot end otherwise.
final class CurlTransfer: Sendable {
    /// Above this many unread bytes of body the peer is held back.
    static let receiveBound = 256 * 1024
    /// Above this many unsent bytes of body the writer is held back.
    static let sendBound = 256 * 1024
    static let maximumHeadBytes = 256 * 1024

    private enum Head {
        case pending
        case ready(status: Int)
    }

    private struct State {
        var head = Head.pending
        var headers: [CurlHeader] = []
        var headBytes = 0
        var headWaiter: CheckedContinuation<Void, Never>?

        var chunks: [[UInt8]] = []
        var nextChunk = 0
        var unreadBytes = 0
        var isReceivePaused = false
        var bodyWaiter: CheckedContinuation<Void, Never>?

        var outgoing: [UInt8] = []
        var sentOfOutgoing = 0
        var isUploadComplete = false
        var isSendPaused = false
        var writeWaiter: CheckedContinuation<Void, Never>?

        var outcome: Result<Void, CurlError>?

        var unsentBytes: Int { outgoing.count - sentOfOutgoing }

        /// Everyone who waits looks again.
        mutating func takeWaiters() -> [CheckedContinuation<Void, Never>] {
            let waiters = [headWaiter, bodyWaiter, writeWaiter].compactMap { $0 }
            headWaiter = nil
            bodyWaiter = nil
            writeWaiter = nil
            return waiters
        }
    }

    let request: CurlRequest
    private let loop: CurlLoop
    private let state = Mutex(State())

    init(_ request: CurlRequest, loop: CurlLoop) {
        self.request = request
        self.loop = loop
    }

    // MARK: For tasks

    /// Waits for status and headers of the final answer; interim (1xx) ones are skipped.
    func responseHead() async throws(CurlError) -> CurlResponseStream {
        while true {
            let found: Result<CurlResponseStream, CurlError>? = state.withLock { state in
                if case .ready(let status) = state.head {
                    return .success(CurlResponseStream(status: status, headers: state.headers, transfer: self))
                }
                switch state.outcome {
                case nil: return nil
                case .failure(let error): return .failure(error)
                case .success: return .failure(CurlError(.connectionLost, detail: "the answer has no head"))
                }
            }
            if let found { return try found.get() }
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if case .pending = state.head, state.outcome == nil {
                        state.headWaiter = continuation
                        return false
                    }
                    return true
                }
                if isReady { continuation.resume() }
            }
        }
    }

    /// The next piece of body; nil at its end.
    func nextChunk() async throws(CurlError) -> [UInt8]? {
        while true {
            var mustResume = false
            let found: Result<[UInt8]?, CurlError>? = state.withLock { state in
                if case .failure(let error) = state.outcome, error.code == .cancelled || error.code == .closed { return .failure(error) }
                if state.nextChunk < state.chunks.count {
                    let chunk = state.chunks[state.nextChunk]
                    state.chunks[state.nextChunk] = []
                    state.nextChunk += 1
                    state.unreadBytes -= chunk.count
                    if state.nextChunk == state.chunks.count {
                        state.chunks.removeAll(keepingCapacity: true)
                        state.nextChunk = 0
                    }
                    if state.isReceivePaused, state.unreadBytes <= Self.receiveBound / 2 {
                        state.isReceivePaused = false
                        mustResume = true
                    }
                    return .success(chunk)
                }
                switch state.outcome {
                case nil: return nil
                case .success: return .success(nil)
                case .failure(let error): return .failure(error)
                }
            }
            if mustResume { loop.enqueue(.unpause(self)) }
            if let found { return try found.get() }
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if state.chunks.isEmpty, state.outcome == nil {
                        state.bodyWaiter = continuation
                        return false
                    }
                    return true
                }
                if isReady { continuation.resume() }
            }
        }
    }

    /// Hands bytes to libcurl and waits for room.
    func write(_ bytes: [UInt8]) async throws(CurlError) {
        try offer(bytes, isLast: false)
        while true {
            let result: Result<Bool, CurlError> = state.withLock { state in
                switch state.outcome {
                case .failure(let error): .failure(error)
                case .success: .failure(CurlError(.connectionLost, detail: "the answer ended before the request"))
                case nil: .success(state.unsentBytes <= Self.sendBound)
                }
            }
            if try result.get() { return }
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if state.unsentBytes > Self.sendBound, state.outcome == nil {
                        state.writeWaiter = continuation
                        return false
                    }
                    return true
                }
                if isReady { continuation.resume() }
            }
        }
    }

    /// The request's body is complete.
    func endUpload() throws(CurlError) { try offer([], isLast: true) }

    private func offer(_ bytes: [UInt8], isLast: Bool) throws(CurlError) {
        let result: Result<Bool, CurlError> = state.withLock { state in
            switch state.outcome {
            case .failure(let error): return .failure(error)
            case .success: return .success(false)
            case nil: break
            }
            if state.sentOfOutgoing == state.outgoing.count {
                state.outgoing = bytes
                state.sentOfOutgoing = 0
            } else {
                state.outgoing.append(contentsOf: bytes)
            }
            if isLast { state.isUploadComplete = true }
            let mustResume = state.isSendPaused
            state.isSendPaused = false
            return .success(mustResume)
        }
        if try result.get() { loop.enqueue(.unpause(self)) }
    }

    /// Ends the transfer unless it has ended. The connection is not used again.
    func abort(_ error: CurlError) {
        if finish(.failure(error)) { loop.enqueue(.remove(self)) }
    }

    // MARK: For libcurl's thread

    /// What stays paused, as libcurl's bits for receiving and sending.
    var pauses: (receive: Bool, send: Bool) { state.withLock { ($0.isReceivePaused, $0.isSendPaused) } }

    /// True if this was the end; false if it had come already.
    @discardableResult
    func finish(_ outcome: Result<Void, CurlError>) -> Bool {
        let waiters: [CheckedContinuation<Void, Never>]? = state.withLock { state in
            guard state.outcome == nil else { return nil }
            state.outcome = outcome
            return state.takeWaiters()
        }
        for waiter in waiters ?? [] { waiter.resume() }
        return waiters != nil
    }

    /// Takes an answer that libcurl did not read.
    func finish(with answer: CurlLateAnswer) {
        state.withLock { state in
            guard state.outcome == nil, case .pending = state.head else { return }
            state.head = .ready(status: answer.status)
            state.headers = answer.headers
            if !answer.body.isEmpty {
                state.chunks = [answer.body]
                state.unreadBytes = answer.body.count
            }
        }
        finish(.success(()))
    }

    var hasHead: Bool {
        state.withLock { state in
            if case .ready = state.head { true } else { false }
        }
    }

    var isFinished: Bool { state.withLock { $0.outcome != nil } }

    /// One header line, its line end included. False stops the transfer.
    func receiveHeaderLine(_ line: UnsafeRawBufferPointer, status: Int) -> Bool {
        let (goesOn, waiter): (Bool, CheckedContinuation<Void, Never>?) = state.withLock { state in
            guard state.outcome == nil else { return (false, nil) }
            // Trailers come here too, after the body.
            guard case .pending = state.head else { return (true, nil) }
            state.headBytes += line.count
            guard state.headBytes <= Self.maximumHeadBytes else { return (false, nil) }
            var text = String(decoding: line, as: UTF8.self)[...]
            while let last = text.utf8.last, last == 13 || last == 10 { text = Substring(text.utf8.dropLast()) }
            if text.isEmpty {
                guard status >= 200 else {
                    state.headers = []
                    return (true, nil)
                }
                state.head = .ready(status: status)
                let waiter = state.headWaiter
                state.headWaiter = nil
                return (true, waiter)
            }
            if text.hasPrefix("HTTP/") {
                state.headers = []
            } else if let colon = text.firstIndex(of: ":") {
                let value = text[text.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
                state.headers.append(CurlHeader(String(text[..<colon]), String(value)))
            }
            return (true, nil)
        }
        waiter?.resume()
        return goesOn
    }

    enum Taken { case all, paused, stopped }

    /// A piece of body. `.paused` means that it was not taken and will be offered again.
    func receiveBody(_ bytes: UnsafeRawBufferPointer) -> Taken {
        let (taken, waiter): (Taken, CheckedContinuation<Void, Never>?) = state.withLock { state in
            guard state.outcome == nil else { return (.stopped, nil) }
            guard state.unreadBytes < Self.receiveBound else {
                state.isReceivePaused = true
                return (.paused, nil)
            }
            state.chunks.append([UInt8](bytes))
            state.unreadBytes += bytes.count
            let waiter = state.bodyWaiter
            state.bodyWaiter = nil
            return (.all, waiter)
        }
        waiter?.resume()
        return taken
    }

    enum Given { case bytes(Int), end, paused, stopped }

    /// Fills `room` with what is to be sent next.
    func sendBody(into room: UnsafeMutableRawBufferPointer) -> Given {
        let (given, waiter): (Given, CheckedContinuation<Void, Never>?) = state.withLock { state in
            guard state.outcome == nil else { return (.stopped, nil) }
            let count = min(room.count, state.unsentBytes)
            guard count > 0 else {
                if state.isUploadComplete { return (.end, nil) }
                state.isSendPaused = true
                return (.paused, nil)
            }
            let from = state.sentOfOutgoing
            state.outgoing.withUnsafeBytes { room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[from..<(from + count)])) }
            state.sentOfOutgoing += count
            if state.sentOfOutgoing == state.outgoing.count {
                state.outgoing = []
                state.sentOfOutgoing = 0
            }
            guard state.unsentBytes <= Self.sendBound else { return (.bytes(count), nil) }
            let waiter = state.writeWaiter
            state.writeWaiter = nil
            return (.bytes(count), waiter)
        }
        waiter?.resume()
        return given
    }
}
