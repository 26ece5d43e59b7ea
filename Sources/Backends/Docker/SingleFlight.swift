import Synchronization

/// Lets one task at a time work on a thing, such as the pull of one image; those who come meanwhile wait and then look again.
///
/// Nobody depends on another's success: when the one that works fails or is cancelled, the next one does the work.
final class SingleFlight: Sendable {
    private struct State {
        var waiting: [String: [Int: CheckedContinuation<Void, Never>]] = [:]
        var lastID = 0
    }

    private let state = Mutex(State())

    /// Runs `work` unless another task does so for the same thing: then waits for its end and returns nil.
    ///
    /// - Throws: what `work` throws; `CancellationError` if this task is cancelled while it waits.
    func run<Result>(_ thing: String, work: () async throws -> Result) async throws -> Result? {
        let isFirst = state.withLock { state in
            guard state.waiting[thing] == nil else { return false }
            state.waiting[thing] = [:]
            return true
        }
        guard isFirst else {
            try await wait(for: thing)
            return nil
        }
        defer {
            let others = state.withLock { $0.waiting.removeValue(forKey: thing) } ?? [:]
            for other in others.values { other.resume() }
        }
        return try await work()
    }

    private func wait(for thing: String) async throws {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goesOn = state.withLock { state in
                    guard state.waiting[thing] != nil, !Task.isCancelled else { return true }
                    state.waiting[thing]?[id] = continuation
                    return false
                }
                if goesOn { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiting[thing]?.removeValue(forKey: id) }?.resume()
        }
        try Task.checkCancellation()
    }
}
