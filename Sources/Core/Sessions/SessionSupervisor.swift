import ExecboxModel
import ExecboxSandbox
import Logging
import ServiceLifecycle
import Synchronization

/// Owns the runner of every session that this process drives, and finds those nobody drives.
///
/// Graceful shutdown cancels the runners and leaves their sandboxes alone: the next process on this host takes them over.
package final class SessionSupervisor: Service {
    private struct State {
        var running: Set<SessionID> = []
        var inbox: AsyncStream<Order>.Continuation?
    }

    private struct Order: Sendable {
        var id: SessionID
        var deadClaimant: String?
        var image: PreparedImage?
        var claimed: Session?
    }

    private let services: SessionServices
    private let state = Mutex(State())
    private let orders: AsyncStream<Order>

    package init(services: SessionServices) {
        self.services = services
        let (orders, inbox) = AsyncStream.makeStream(of: Order.self)
        self.orders = orders
        // Unbounded in name only: an id is in it at most once, and every id stands for a row.
        state.withLock { $0.inbox = inbox }
    }

    /// Drives the session from now on; does nothing if it is being driven here already.
    package func start(_ id: SessionID, takingOverFrom deadClaimant: String? = nil) {
        start(Order(id: id, deadClaimant: deadClaimant))
    }

    /// Drives a session that this process has just made, and claimed with that.
    ///
    /// - Parameter image: the session's, where it is at hand.
    package func start(new session: Session, image: PreparedImage?) {
        start(Order(id: session.id, image: image, claimed: session))
    }

    private func start(_ order: Order) {
        state.withLock { state in
            guard state.running.insert(order.id).inserted else { return }
            state.inbox?.yield(order)
        }
    }

    /// Ids of sessions that this process drives now.
    package var driven: Set<SessionID> { state.withLock { $0.running } }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.adopt() }
                for await order in self.orders {
                    group.addTask {
                        let runner = SessionRunner(id: order.id, services: self.services, image: order.image, claimed: order.claimed)
                        try? await runner.run(takingOverFrom: order.deadClaimant)
                        _ = self.state.withLock { $0.running.remove(order.id) }
                    }
                }
                group.cancelAll()
            }
        }
    }

    /// Every few seconds: which sessions of this host has nobody claimed, or only a dead process?
    private func adopt() async {
        while !Task.isCancelled {
            do {
                try await adoptOnce()
            } catch {
                services.log.debug("Looking for sessions to drive failed", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: .seconds(2))
        }
    }

    package func adoptOnce() async throws {
        let node = services.settings.node
        let driven = self.driven
        for open in try await services.store.openSessions(node: node) where !driven.contains(open.id) {
            let owner = open.claimedBy.flatMap(Claimant.init)
            if open.claimedBy == nil || open.isClaimExpired || owner == services.settings.claimant {
                start(open.id)
            } else if let owner, owner.isDead(seenFrom: node) {
                start(open.id, takingOverFrom: owner.description)
            }
        }
    }
}
