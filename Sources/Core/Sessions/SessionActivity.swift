import ExecboxModel
import Synchronization

/// Who uses which session of this process right now: idle time counts from the end of the last use.
package final class SessionActivity: Sendable {
    private struct Use {
        var streams = 0
        var last: ContinuousClock.Instant
    }

    private let uses = Mutex<[SessionID: Use]>([:])

    package init() {}

    /// A stream is attached, or an exec runs, for as long as `body` does.
    package func during<Result: Sendable>(_ id: SessionID, _ body: () async throws -> Result) async rethrows -> Result {
        uses.withLock { $0[id, default: Use(last: .now)].streams += 1 }
        defer {
            uses.withLock { uses in
                uses[id]?.streams -= 1
                uses[id]?.last = .now
            }
        }
        return try await body()
    }

    /// A call, or output, counts as use.
    package func touch(_ id: SessionID) { uses.withLock { $0[id, default: Use(last: .now)].last = .now } }

    /// How long nobody has used the session; zero while a stream is open, nil if this process never saw it used.
    func idleTime(_ id: SessionID) -> Duration? {
        uses.withLock { uses in uses[id].map { $0.streams > 0 ? .zero : $0.last.duration(to: .now) } }
    }

    func forget(_ id: SessionID) {
        uses.withLock { uses in
            // A reader of an ended session may still be counted; it takes its entry down to nothing later.
            if uses[id]?.streams ?? 0 <= 0 { uses[id] = nil }
        }
    }
}
