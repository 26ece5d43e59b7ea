import Synchronization

/// Lets one task at a time work on a thing, such as the pull of one image; those who come meanwhile wait and then look again.
///
/// Nobody depends on another's success: when the one that works fails or is cancelled, the next one does the work.
final class SingleFlight: Sendable {
    private let waiting = Mutex<[String: [CheckedContinuation<Void, Never>]]>([:])

    /// Runs `work` unless another task does so for the same thing: then waits for its end and returns nil.
    func run<Result>(_ thing: String, work: () async throws -> Result) async rethrows -> Result? {
        let isFirst = waiting.withLock { waiting in
            guard waiting[thing] == nil else { return false }
            waiting[thing] = []
            return true
        }
        guard isFirst else {
            await withCheckedContinuation { continuation in
                let isOver = waiting.withLock { waiting in
                    guard waiting[thing] != nil else { return true }
                    waiting[thing]?.append(continuation)
                    return false
                }
                if isOver { continuation.resume() }
            }
            return nil
        }
        defer {
            let others = waiting.withLock { $0.removeValue(forKey: thing) } ?? []
            for other in others { other.resume() }
        }
        return try await work()
    }
}
