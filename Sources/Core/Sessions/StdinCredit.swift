import Synchronization

/// How many bytes of stdin the agent still takes. One sender waits, one receiver adds.
package final class StdinCredit: Sendable {
    private struct State {
        var available: Int
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state: Mutex<State>

    package init(_ initial: UInt32) { state = Mutex(State(available: Int(initial))) }

    /// Credit comes from a sandbox: it is bounded, so that a lying agent cannot overflow it.
    package func add(_ bytes: UInt32) {
        let waiter = state.withLock { state in
            state.available = min(state.available + Int(bytes), 1 << 30)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Takes between 1 and `count` bytes as soon as any are available.
    package func take(upTo count: Int) async throws -> Int {
        while true {
            try Task.checkCancellation()
            let taken = state.withLock { state in
                let taken = min(count, state.available)
                state.available -= taken
                return taken
            }
            if taken > 0 || count == 0 { return taken }
            await suspend()
        }
    }

    private func suspend() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    guard state.available == 0, !Task.isCancelled else { return true }
                    state.waiter = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume()
        }
    }
}
