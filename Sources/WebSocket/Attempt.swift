import NIOCore
import Synchronization

/// A connection that is being opened, so that a deadline or a cancellation can end it from elsewhere.
final class Attempt: Sendable {
    private struct State {
        var channel: (any Channel)?
        var cause: WebSocketClientError?
    }

    private let state = Mutex(State())

    /// Why it was given up, if it was.
    var cause: WebSocketClientError? { state.withLock { $0.cause } }

    func began(_ channel: any Channel) {
        let isGivenUp = state.withLock { state in
            state.channel = channel
            return state.cause != nil
        }
        if isGivenUp { channel.close(promise: nil) }
    }

    func giveUp(_ cause: WebSocketClientError) {
        let channel = state.withLock { state in
            if state.cause == nil { state.cause = cause }
            return state.channel
        }
        channel?.close(promise: nil)
    }
}
