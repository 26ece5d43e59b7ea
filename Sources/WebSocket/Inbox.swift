import NIOCore
import Synchronization

/// Messages that arrived and wait for their one consumer; says when to stop reading and when to go on.
final class Inbox: Sendable {
    private struct State {
        var messages = CircularBuffer<WebSocketMessage>()
        var byteCount = 0
        var isFinished = false
        var isFull = false
        var waiter: CheckedContinuation<WebSocketMessage?, Never>?
    }

    private let state = Mutex(State())
    private let maxBytes: Int
    private let maxMessages: Int

    init(maxBytes: Int, maxMessages: Int) {
        self.maxBytes = maxBytes
        self.maxMessages = maxMessages
    }

    /// - Returns: false once reading should stop.
    func push(_ message: WebSocketMessage) -> Bool {
        let (waiter, goOn) = state.withLock { state -> (CheckedContinuation<WebSocketMessage?, Never>?, Bool) in
            guard !state.isFinished else { return (nil, true) }
            if let waiter = state.waiter {
                state.waiter = nil
                return (waiter, true)
            }
            state.messages.append(message)
            state.byteCount += message.byteCount
            if state.byteCount >= maxBytes || state.messages.count >= maxMessages { state.isFull = true }
            return (nil, !state.isFull)
        }
        waiter?.resume(returning: message)
        return goOn
    }

    /// Reading is off because of us.
    var isFull: Bool { state.withLock { $0.isFull } }

    /// What is there is still handed out, then nil; later messages are dropped and never stop reading.
    func finish() {
        let waiter = state.withLock { state -> CheckedContinuation<WebSocketMessage?, Never>? in
            state.isFinished = true
            state.isFull = false
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: nil)
    }

    private enum Next {
        case message(WebSocketMessage?, resumesReading: Bool)
        case waits
    }

    /// The next message; nil at the end or when the task is cancelled.
    ///
    /// - Parameter resumeReading: called when there is room again.
    func next(resumeReading: @Sendable () -> Void) async -> WebSocketMessage? {
        if case .message(let message, let resumes) = take(registering: nil) {
            if resumes { resumeReading() }
            return message
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard case .message(let message, let resumes) = take(registering: continuation) else { return }
                if resumes { resumeReading() }
                continuation.resume(returning: message)
            }
        } onCancel: {
            let waiter = state.withLock { state -> CheckedContinuation<WebSocketMessage?, Never>? in
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume(returning: nil)
        }
    }

    /// `onCancel` finds the waiter, or registering finds the task cancelled: both happen under the lock.
    private func take(registering continuation: CheckedContinuation<WebSocketMessage?, Never>?) -> Next {
        state.withLock { state in
            if let message = state.messages.popFirst() {
                state.byteCount -= message.byteCount
                let resumes = state.isFull && state.byteCount <= maxBytes / 2 && state.messages.count <= maxMessages / 2
                if resumes { state.isFull = false }
                return .message(message, resumesReading: resumes)
            }
            // A second consumer gets nil rather than taking the first one's place.
            if state.isFinished || Task.isCancelled || state.waiter != nil { return .message(nil, resumesReading: false) }
            state.waiter = continuation
            return .waits
        }
    }
}
