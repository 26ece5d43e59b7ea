import ExecboxModel
import Synchronization

/// Reads single sessions for many callers at once: requests that come while a look at the database is under way share the next one, and a
/// row that has not changed is not read again.
///
/// What is answered was true after the request came: nobody is given the outcome of a look that began before.
package final class SessionReader: Sendable {
    /// A session, and a number that changes with every change of its row.
    package struct Versioned: Sendable {
        package var session: Session
        package var version: Int64
    }

    private enum Wake: Sendable {
        case found(Versioned?)
        case failed(any Error)
        /// Nobody looks any more: look for all that wait.
        case lead
    }

    private struct State {
        var waiting: [SessionID: [CheckedContinuation<Wake, Never>]] = [:]
        var isLooking = false
        var known: [SessionID: Versioned] = [:]
    }

    private static let maxKnown = 10_000

    private let store: SessionStore
    private let state = Mutex(State())

    package init(store: SessionStore) { self.store = store }

    /// The session, if there is one.
    package func session(_ id: SessionID) async throws -> Versioned? {
        let isLeader = state.withLock { state in
            defer { state.isLooking = true }
            return !state.isLooking
        }
        if !isLeader {
            let wake = await withCheckedContinuation { continuation in
                let leads = state.withLock { state in
                    guard state.isLooking else {
                        state.isLooking = true
                        return true
                    }
                    state.waiting[id, default: []].append(continuation)
                    return false
                }
                if leads { continuation.resume(returning: .lead) }
            }
            switch wake {
            case .found(let found): return found
            case .failed(let error): throw error
            case .lead: break
            }
        }
        let others = state.withLock { state in
            defer { state.waiting = [:] }
            return state.waiting
        }
        do {
            let found = try await look(for: Set(others.keys).union([id]))
            for (id, waiters) in others {
                for waiter in waiters { waiter.resume(returning: .found(found[id])) }
            }
            passOn()
            return found[id]
        } catch {
            if Task.isCancelled {
                // This task's own affair: somebody else looks for them.
                state.withLock { state in
                    for (id, waiters) in others { state.waiting[id, default: []] += waiters }
                }
            } else {
                for waiter in others.values.joined() { waiter.resume(returning: .failed(error)) }
            }
            passOn()
            throw error
        }
    }

    /// The next of those who wait looks for all of them.
    private func passOn() {
        let next = state.withLock { state -> CheckedContinuation<Wake, Never>? in
            guard let (id, waiters) = state.waiting.first, let next = waiters.last else {
                state.isLooking = false
                return nil
            }
            state.waiting[id] = waiters.count > 1 ? Array(waiters.dropLast()) : nil
            return next
        }
        next?.resume(returning: .lead)
    }

    private func look(for ids: Set<SessionID>) async throws -> [SessionID: Versioned] {
        let versions = try await store.versions(of: ids)
        let known = state.withLock { $0.known }
        var found: [SessionID: Versioned] = [:]
        var changed: [SessionID] = []
        for (id, version) in versions {
            if let session = known[id], session.version == version { found[id] = session } else { changed.append(id) }
        }
        guard !changed.isEmpty else { return found }
        let read = try await store.versioned(changed)
        for session in read { found[session.session.id] = session }
        state.withLock { state in
            if state.known.count + read.count > Self.maxKnown { state.known = [:] }
            for session in read { state.known[session.session.id] = session }
        }
        return found
    }
}
