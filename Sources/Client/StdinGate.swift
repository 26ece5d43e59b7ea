import ExecboxWebSocket
import Synchronization

/// How much stdin may be sent, and on which connection; writers wait here for credit and while a lost stream comes back.
final class StdinGate: Sendable {
    /// A client with credit starts with so much on every connection (PROTOCOL §3).
    static let initialCredit = 256 * 1024

    private struct State {
        var connection: WebSocketConnection?
        /// Nil where the server does not count.
        var credit: Int?
        var isEnded = false
        var nextWaiter: UInt64 = 0
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    }

    private let state = Mutex(State())

    func opened(_ connection: WebSocketConnection, countsCredit: Bool) {
        update { state in
            state.connection = connection
            state.credit = countsCredit ? Self.initialCredit : nil
        }
    }

    func lost() { update { $0.connection = nil } }

    func add(credit: UInt32) { update { state in state.credit = state.credit.map { $0 + Int(credit) } } }

    func end() {
        update { state in
            state.isEnded = true
            state.connection = nil
        }
    }

    private func update(_ change: (inout State) -> Void) {
        let waiters = state.withLock { state in
            change(&state)
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in waiters.values { waiter.resume() }
    }

    /// A connection on which `1...limit` bytes may be sent now; a limit of zero asks for the connection only.
    ///
    /// - Throws: `streamEnded`, or a cancellation.
    func reserve(upTo limit: Int) async throws -> (connection: WebSocketConnection, count: Int) {
        while true {
            try Task.checkCancellation()
            let reserved = try state.withLock { state throws -> (WebSocketConnection, Int)? in
                guard !state.isEnded else { throw ExecboxClientError(.streamEnded, "the stream has ended") }
                guard let connection = state.connection, limit == 0 || state.credit != 0 else { return nil }
                let count = min(limit, state.credit ?? limit)
                state.credit = state.credit.map { $0 - count }
                return (connection, count)
            }
            if let reserved { return reserved }
            await waitForChange(limit)
        }
    }

    private func waitForChange(_ limit: Int) async {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let isOver = state.withLock { state in
                    let mayProceed = state.isEnded || state.connection != nil && (limit == 0 || state.credit != 0)
                    // Asked once: between two answers `onCancel` could resume it too.
                    let isOver = mayProceed || Task.isCancelled
                    if !isOver { state.waiters[id] = continuation }
                    return isOver
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
    }
}
