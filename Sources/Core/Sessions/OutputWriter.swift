import ExecboxModel
import ExecboxPostgres
import Logging
import ServiceLifecycle
import Synchronization

/// Commits the output of all sessions of this process together, so that recording costs a transaction every `interval` and not one a chunk.
///
/// Memory is bounded by its callers: each waits for its chunk before it hands in the next.
package final class OutputWriter: Service {
    private struct Waiting {
        var append: OutputStore.Append
        var continuation: CheckedContinuation<Bool, any Error>
    }

    private struct State {
        var waiting: [Waiting] = []
        var wake: CheckedContinuation<Void, Never>?
        var isStopped = false
    }

    private let store: OutputStore
    private let interval: Duration
    private let log: Logger
    private let state = Mutex(State())

    package init(store: OutputStore, interval: Duration = .milliseconds(20), log: Logger) {
        self.store = store
        self.interval = interval
        self.log = log
    }

    /// Returns once the chunk is committed, false if this recorder was replaced and nothing was written.
    ///
    /// - Throws: what the database threw; the chunk may be handed in again then.
    func append(_ append: OutputStore.Append) async throws -> Bool {
        try await withCheckedThrowingContinuation { continuation in
            let (wake, isStopped) = state.withLock { state -> (CheckedContinuation<Void, Never>?, Bool) in
                guard !state.isStopped else { return (nil, true) }
                state.waiting.append(Waiting(append: append, continuation: continuation))
                defer { state.wake = nil }
                return (state.wake, false)
            }
            if isStopped { continuation.resume(throwing: CancellationError()) }
            wake?.resume()
        }
    }

    /// Runs until cancelled or shut down, and commits what has been handed in by then.
    package func run() async throws {
        await cancelWhenGracefulShutdown { await self.commitUntilStopped() }
    }

    private func commitUntilStopped() async {
        await withTaskCancellationHandler {
            while true {
                await sleepUntilWanted()
                let batch = state.withLock { state in
                    // A batch of chunks of at most 256 KiB each stays far below what one transaction takes.
                    let batch = Array(state.waiting.prefix(64))
                    state.waiting.removeFirst(batch.count)
                    return batch
                }
                if !batch.isEmpty { await commit(batch) }
                let isDone = state.withLock { $0.isStopped && $0.waiting.isEmpty }
                if isDone { return }
                if batch.count < 64 { try? await Task.sleep(for: interval) }
            }
        } onCancel: {
            let wake = state.withLock { state -> CheckedContinuation<Void, Never>? in
                state.isStopped = true
                defer { state.wake = nil }
                return state.wake
            }
            wake?.resume()
        }
    }

    private func sleepUntilWanted() async {
        await withCheckedContinuation { continuation in
            let isWanted = state.withLock { state in
                guard state.waiting.isEmpty, !state.isStopped else { return true }
                state.wake = continuation
                return false
            }
            if isWanted { continuation.resume() }
        }
    }

    private func commit(_ batch: [Waiting]) async {
        do {
            let taken = try await store.append(batch.map(\.append))
            for (waiting, isTaken) in zip(batch, taken) { waiting.continuation.resume(returning: isTaken) }
        } catch {
            log.debug("Committing output failed", metadata: ["error": "\(error)"])
            for waiting in batch { waiting.continuation.resume(throwing: error) }
        }
    }
}
