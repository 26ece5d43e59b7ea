import Synchronization

/// Where a stream route leaves its answer for the connection that asked. Child contexts must carry the same object on.
package final class UpgradeSlot: Sendable {
    private struct State {
        var isOffered = false
        var answer: WebSocketAnswer?
    }

    private let state = Mutex(State())

    package init() {}

    /// The connection can be upgraded by this request.
    func offer() { state.withLock { $0.isOffered = true } }

    /// False for every ordinary request, whatever its headers say.
    var isOffered: Bool { state.withLock { $0.isOffered } }

    func put(_ answer: WebSocketAnswer) { state.withLock { $0.answer = answer } }

    func take() -> WebSocketAnswer? {
        state.withLock { state in
            defer { state.answer = nil }
            return state.answer
        }
    }
}
