import ExecboxModel
import Synchronization

/// Holds callers to their rates. The truth is in the database; this process leases a tenth of a second's worth at a time, so that a busy
/// key costs a few round trips a second, not one a request.
package final class RateLimiter: Sendable {
    private struct State {
        var buckets = RateBuckets()
        var lastID = 0
        var waiters: [String: [Int: CheckedContinuation<Void, Never>]] = [:]
    }

    package enum Outcome: Sendable {
        case admitted(RateStatus)
        case refused(ExecboxError, RateStatus)

        package var status: RateStatus {
            switch self {
            case .admitted(let status), .refused(_, let status): status
            }
        }
    }

    private let store: RateStore
    private let state = Mutex(State())

    package init(store: RateStore) { self.store = store }

    /// Counts one request against every limit, if all of them allow it.
    package func admit(_ limits: [RateLimit]) async throws -> Outcome {
        while true {
            switch state.withLock({ $0.buckets.take(limits, at: .now) }) {
            case .admitted(let status): return .admitted(status)
            case .refused(let limit, let retryAfter, let status): return .refused(limit.exceeded(retryAfter: retryAfter), status)
            case .wait(let subject): try await wait(for: subject)
            case .lease(let missing):
                do {
                    let grants = try await store.lease(missing)
                    finish(missing) { $0.leased(grants, of: missing, at: .now) }
                } catch {
                    finish(missing) { $0.leaseFailed(missing) }
                    throw error
                }
            }
        }
    }

    private func finish(_ limits: [RateLimit], _ change: (inout RateBuckets) -> Void) {
        let waiters = state.withLock { state in
            change(&state.buckets)
            return limits.flatMap { state.waiters.removeValue(forKey: $0.subject)?.values.map { $0 } ?? [] }
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Until the lease that is under way has an answer.
    private func wait(for subject: String) async throws {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goesOn = state.withLock { state in
                    guard state.buckets.isAsked(subject), !Task.isCancelled else { return true }
                    state.waiters[subject, default: [:]][id] = continuation
                    return false
                }
                if goesOn { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters[subject]?.removeValue(forKey: id) }?.resume()
        }
        try Task.checkCancellation()
    }
}
