import Synchronization

/// Wakes whoever waits for a row to change: a session, a key. A wake-up is a hint: waiters read the row again, and do so every 5 s anyway.
package final class ChangeWatch<ID: Hashable & Sendable>: Sendable {
    private struct State {
        var nextID = 0
        var waiters: [ID: [Int: CheckedContinuation<Void, Never>]] = [:]
        /// Counts changes, so that one between reading the row and waiting is not lost. Only rows somebody watches have an entry.
        var versions: [ID: (count: Int, watchers: Int)] = [:]
        var resyncs = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// The row of `id` may have changed.
    package func changed(_ id: ID) {
        let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.versions[id]?.count += 1
            return state.waiters.removeValue(forKey: id).map { Array($0.values) } ?? []
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Notifications may have been missed: everybody reads again.
    package func resync() {
        let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.resyncs += 1
            defer { state.waiters = [:] }
            return state.waiters.values.flatMap(\.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Calls `read` now and after every change until it returns a value; nil when `deadline` comes first.
    package func wait<Value: Sendable>(
        for id: ID,
        until deadline: ContinuousClock.Instant? = nil,
        rereadEvery interval: Duration = .seconds(5),
        _ read: () async throws -> Value?
    ) async throws -> Value? {
        state.withLock { $0.versions[id, default: (0, 0)].watchers += 1 }
        defer {
            state.withLock { state in
                state.versions[id]?.watchers -= 1
                if state.versions[id]?.watchers == 0 { state.versions[id] = nil }
            }
        }
        while true {
            let seen = version(of: id)
            if let value = try await read() { return value }
            let now = ContinuousClock.now
            if let deadline, now >= deadline { return nil }
            try await sleep(id, seen: seen, until: min(now + interval, deadline ?? now + interval))
        }
    }

    private func version(of id: ID) -> Int {
        state.withLock { ($0.versions[id]?.count ?? 0) + $0.resyncs }
    }

    private func sleep(_ id: ID, seen: Int, until deadline: ContinuousClock.Instant) async throws {
        let waiterID = state.withLock { state in
            defer { state.nextID += 1 }
            return state.nextID
        }
        await withTaskGroup { group in
            group.addTask { await self.suspend(id, waiterID: waiterID, seen: seen) }
            group.addTask { try? await Task.sleep(until: deadline, clock: .continuous) }
            await group.next()
            group.cancelAll()
        }
        try Task.checkCancellation()
    }

    private func suspend(_ id: ID, waiterID: Int, seen: Int) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDone = state.withLock { state in
                    let version = (state.versions[id]?.count ?? 0) + state.resyncs
                    guard version == seen, !Task.isCancelled else { return true }
                    state.waiters[id, default: [:]][waiterID] = continuation
                    return false
                }
                if isDone { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                let waiter = state.waiters[id]?.removeValue(forKey: waiterID)
                if state.waiters[id]?.isEmpty == true { state.waiters[id] = nil }
                return waiter
            }
            waiter?.resume()
        }
    }
}
