import NIOCore
import NIOWebSocket
import Synchronization

/// Messages on their way to the event loop; senders wait while it holds too much.
///
/// A message is queued before its sender waits, so the order is that of the calls, and at most one message a sender goes over the bound.
final class Outbox: Sendable {
    struct Outgoing {
        let opcode: WebSocketOpcode
        let payload: ByteBuffer
    }

    struct Close {
        let code: WebSocketCloseCode
        let reason: String
    }

    private struct State {
        var queue = CircularBuffer<Outgoing>()
        var byteCount = 0
        var isFlushScheduled = false
        var close: Close?
        var isClosed = false
        var nextWaiter: UInt64 = 0
        var waiters: [UInt64: CheckedContinuation<Bool, Never>] = [:]
    }

    private let state = Mutex(State())
    private let maxBytes: Int

    init(maxBytes: Int) { self.maxBytes = maxBytes }

    /// What a caller has to do after queueing.
    struct Queued {
        var needsFlush = false
        var mustWait = false
    }

    func push(_ messages: some Sequence<Outgoing>) throws(WebSocketError) -> Queued {
        let queued = state.withLock { state -> Queued? in
            guard state.close == nil, !state.isClosed else { return nil }
            for message in messages {
                state.byteCount += message.payload.readableBytes
                state.queue.append(message)
            }
            defer { state.isFlushScheduled = true }
            return Queued(needsFlush: !state.isFlushScheduled, mustWait: state.byteCount > maxBytes)
        }
        guard let queued else { throw .closed }
        return queued
    }

    /// Returns when there is room.
    ///
    /// - Throws: `closed`, or a cancellation; in both cases what was queued may or may not be sent.
    func waitForRoom() async throws {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        let isOpen = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Bool, Never>) in
                let answer = state.withLock { state -> Bool? in
                    if state.isClosed { return false }
                    if state.byteCount <= maxBytes || Task.isCancelled { return true }
                    state.waiters[id] = continuation
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume(returning: true)
        }
        try Task.checkCancellation()
        guard isOpen else { throw WebSocketError.closed }
    }

    /// What is queued, up to `limit` bytes and at least one message; resumes senders once half of the room is free.
    ///
    /// - Returns: empty when nothing is left, and then the next push asks for a flush.
    func take(upTo limit: Int) -> [Outgoing] {
        let (taken, waiters) = state.withLock { state -> ([Outgoing], [CheckedContinuation<Bool, Never>]) in
            var taken: [Outgoing] = []
            var bytes = 0
            while bytes < limit, let message = state.queue.popFirst() {
                bytes += message.payload.readableBytes
                taken.append(message)
            }
            state.byteCount -= bytes
            if taken.isEmpty { state.isFlushScheduled = false }
            guard state.byteCount <= maxBytes / 2, !state.waiters.isEmpty else { return (taken, []) }
            defer { state.waiters = [:] }
            return (taken, state.waiters.sorted { $0.key < $1.key }.map(\.value))
        }
        for waiter in waiters { waiter.resume(returning: true) }
        return taken
    }

    /// Nothing is accepted any more; what is queued still goes out unless `discardingQueued`.
    ///
    /// - Returns: false if the end was already decided.
    func requestClose(_ close: Close, discardingQueued: Bool) -> Bool {
        let (isFirst, waiters) = state.withLock { state -> (Bool, [CheckedContinuation<Bool, Never>]) in
            let isFirst = state.close == nil && !state.isClosed
            if isFirst { state.close = close }
            guard discardingQueued else { return (isFirst, []) }
            state.queue.removeAll()
            state.byteCount = 0
            defer { state.waiters = [:] }
            return (isFirst, Array(state.waiters.values))
        }
        for waiter in waiters { waiter.resume(returning: false) }
        return isFirst
    }

    /// The close frame to be written once the queue is empty.
    var requestedClose: Close? { state.withLock { $0.close } }

    /// The connection is gone.
    func finish() {
        let waiters = state.withLock { state -> [CheckedContinuation<Bool, Never>] in
            state.isClosed = true
            state.queue.removeAll()
            state.byteCount = 0
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: false) }
    }
}
