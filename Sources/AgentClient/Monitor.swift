import NIOCore
import Synchronization

/// State behind a lock, and the tasks that wait for something in it.
///
/// Waiters are served first come, first served, each as soon as its own condition holds. A condition may take what it waited for out of
/// the state, so that no other waiter gets it too.
final class Monitor<State: Sendable>: Sendable {
    private struct Waiter: Sendable {
        let id: UInt64
        /// What resumes the task, if its condition holds now; called after the lock is released.
        let serve: @Sendable (inout State) -> (@Sendable () -> Void)?
        let fail: @Sendable (AgentLinkError) -> Void
    }

    private struct Guarded: Sendable {
        var state: State
        var waiters: [Waiter] = []
        var lastID: UInt64 = 0

        mutating func serveWaiters() -> [@Sendable () -> Void] {
            guard !waiters.isEmpty else { return [] }
            var resumptions: [@Sendable () -> Void] = []
            var waiting: [Waiter] = []
            for waiter in waiters {
                if let resume = waiter.serve(&state) {
                    resumptions.append(resume)
                } else {
                    waiting.append(waiter)
                }
            }
            if !resumptions.isEmpty { waiters = waiting }
            return resumptions
        }
    }

    private let guarded: Mutex<Guarded>

    init(_ state: State) {
        guarded = Mutex(Guarded(state: state))
    }

    /// Changes the state and resumes those who waited for that. `body` must not call out.
    func update<Value: Sendable>(_ body: (inout State) -> Value) -> Value {
        let (value, resumptions) = guarded.withLock { guarded in
            let value = body(&guarded.state)
            return (value, guarded.serveWaiters())
        }
        for resume in resumptions { resume() }
        return value
    }

    func read<Value: Sendable>(_ body: (State) -> Value) -> Value {
        guarded.withLock { body($0.state) }
    }

    /// Suspends until `condition` gives a result.
    ///
    /// - Throws: what the condition fails with; `timeout` at `deadline`; `cancelled` when the task is, whatever happened to the state.
    func wait<Value: Sendable>(
        until deadline: (NIODeadline, any EventLoop)? = nil,
        for condition: @escaping @Sendable (inout State) -> Result<Value, AgentLinkError>?
    ) async throws(AgentLinkError) -> Value {
        guard !Task.isCancelled else { throw .cancelled }
        let (early, id) = guarded.withLock { guarded -> (Result<Value, AgentLinkError>?, UInt64) in
            guarded.lastID += 1
            // Those who already wait are first.
            return (guarded.waiters.isEmpty ? condition(&guarded.state) : nil, guarded.lastID)
        }
        if let early { return try early.get() }

        let timer = deadline.map { deadline, eventLoop in
            eventLoop.scheduleTask(deadline: deadline) { self.abandon(id, with: .timeout) }
        }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Result<Value, AgentLinkError>, Never>) in
                let resumptions = guarded.withLock { guarded -> [@Sendable () -> Void] in
                    // Both may have come before there was a waiter to abandon.
                    if Task.isCancelled { return [{ continuation.resume(returning: .failure(.cancelled)) }] }
                    if let (time, _) = deadline, NIODeadline.now() >= time {
                        return [{ continuation.resume(returning: .failure(.timeout)) }]
                    }
                    guarded.waiters.append(
                        Waiter(
                            id: id,
                            serve: { state in
                                guard let result = condition(&state) else { return nil }
                                return { continuation.resume(returning: result) }
                            },
                            fail: { continuation.resume(returning: .failure($0)) }
                        )
                    )
                    return guarded.serveWaiters()
                }
                for resume in resumptions { resume() }
            }
        } onCancel: {
            abandon(id, with: .cancelled)
        }
        timer?.cancel()
        return try result.get()
    }

    /// Suspends until `condition` holds, also in a cancelled task: for the end of things that must end.
    func waitRegardless(for condition: @escaping @Sendable (State) -> Bool) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let resumptions = guarded.withLock { guarded in
                guarded.lastID += 1
                guarded.waiters.append(
                    Waiter(
                        id: guarded.lastID,
                        serve: { state in
                            guard condition(state) else { return nil }
                            return { continuation.resume() }
                        },
                        // Nobody abandons it: its id is known here only.
                        fail: { _ in continuation.resume() }
                    )
                )
                return guarded.serveWaiters()
            }
            for resume in resumptions { resume() }
        }
    }

    private func abandon(_ id: UInt64, with error: AgentLinkError) {
        let waiter = guarded.withLock { guarded -> Waiter? in
            guard let index = guarded.waiters.firstIndex(where: { $0.id == id }) else { return nil }
            return guarded.waiters.remove(at: index)
        }
        waiter?.fail(error)
    }
}
