import ExecboxModel
import Synchronization

/// Holds callers to their rates. The truth is in the database; this process leases a tenth of a second's worth at a time, so that a busy
/// key costs a few round trips a second, not one a request.
package final class RateLimiter: Sendable {
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
    private let buckets = Mutex(RateBuckets())
    /// Of leases that are under way, by bucket.
    private let answers = ChangeWatch<String>()

    package init(store: RateStore) { self.store = store }

    /// Counts one request against every limit, if all of them allow it.
    package func admit(_ limits: [RateLimit]) async throws -> Outcome {
        while true {
            switch buckets.withLock({ $0.take(limits, at: .now) }) {
            case .admitted(let status): return .admitted(status)
            case .refused(let limit, let retryAfter, let status): return .refused(limit.exceeded(retryAfter: retryAfter), status)
            case .wait(let subject):
                _ = try await answers.wait(for: subject) { buckets.withLock { $0.isAsked(subject) } ? nil : true }
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
        buckets.withLock { change(&$0) }
        for limit in limits { answers.changed(limit.subject) }
    }
}
