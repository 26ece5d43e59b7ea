import ExecboxModel
import Logging

/// Requests that are carried out once, however often they are sent, to whichever replica (PROTOCOL §1).
package struct Idempotency: Sendable {
    package enum Turn: Sendable {
        case first(IdempotencyClaim)
        /// It has been carried out: render what came of it.
        case repetition(resource: String)
    }

    private let store: IdempotencyStore
    private let claimant: Claimant
    private let log: Logger

    package init(store: IdempotencyStore, claimant: Claimant, log: Logger) {
        self.store = store
        self.claimant = claimant
        self.log = log
    }

    /// Waits while the same request is in flight, and takes over if its owner is gone.
    ///
    /// - Throws: `idempotencyMismatch` if the key stood for another request.
    package func begin(_ request: IdempotentRequest) async throws -> Turn {
        let claim = IdempotencyClaim(request: request, token: Execs.makeID())
        var predecessor: String?
        var pause = Duration.milliseconds(20)
        while true {
            switch try await store.claim(claim, owner: claimant.description, from: predecessor) {
            case .claimed: return .first(claim)
            case .done(let resource): return .repetition(resource: resource)
            case .other:
                throw ExecboxError(
                    .idempotencyMismatch, "this Idempotency-Key was used for another request in the last 24 hours",
                    details: ["field": .text("Idempotency-Key")])
            case .inFlight(let owner, let token, let isExpired):
                let isDead = Claimant(owner)?.isDead(seenFrom: claimant.node) ?? false
                predecessor = isExpired || isDead ? token : nil
                guard predecessor == nil else { continue }
                try await Task.sleep(for: pause)
                pause = min(pause * 2, .milliseconds(250))
            }
        }
    }

    /// Carries the request out and keeps its claim meanwhile. What fails is given up, unless it was recorded before it failed.
    package func hold<Value: Sendable>(_ claim: IdempotencyClaim, _ body: @escaping @Sendable () async throws -> Value) async throws
        -> Value
    {
        do {
            return try await withThrowingTaskGroup(of: Value?.self) { group in
                group.addTask {
                    while !Task.isCancelled {
                        try? await Task.sleep(for: .seconds(IdempotencyStore.claimSeconds / 3))
                        try? await self.store.renew(claim)
                    }
                    return nil
                }
                group.addTask { try await body() }
                defer { group.cancelAll() }
                while let value = try await group.next() {
                    if let value { return value }
                }
                throw CancellationError()
            }
        } catch {
            // A task of its own, waited for: a cancelled one gets no connection. What fails here runs out by itself.
            await Task { [store, log] in
                do {
                    try await store.giveUp(claim)
                } catch {
                    log.debug("Giving up an idempotent request failed", metadata: ["error": "\(error)"])
                }
            }.value
            throw error
        }
    }

    /// For what is not made in a transaction of its own.
    package func record(_ claim: IdempotencyClaim, resource: String) async throws { try await store.record(claim, resource: resource) }
}
