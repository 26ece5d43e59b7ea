import ExecboxModel
import Logging
import ServiceLifecycle

/// Delivers what is due, on every replica: each delivery is claimed, sent and written back. At least once, since a replica may end in between.
package struct WebhookDispatcher: Service {
    private static let mostAtOnce = 16
    /// An account's slow receivers must not take all places.
    private static let mostPerAccount = 4

    private let store: WebhookStore
    private let seal: SecretSeal
    private let transport: any WebhookTransport
    private let watch: ChangeWatch<String>
    private let log: Logger

    /// - Parameter watch: told of `WebhookStore.channel` when there is something new.
    package init(store: WebhookStore, seal: SecretSeal, transport: any WebhookTransport, watch: ChangeWatch<String>, log: Logger) {
        self.store = store
        self.seal = seal
        self.transport = transport
        self.watch = watch
        self.log = log
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                let free = Latest(Self.mostAtOnce)
                while !Task.isCancelled {
                    // Whoever has delivered makes room, and says so.
                    let attempts = try? await watch.wait(for: WebhookStore.channel, until: .now + .seconds(5)) { () -> [WebhookAttempt]? in
                        let room = free.withLock { $0 }
                        guard room > 0 else { return nil }
                        do {
                            let due = try await store.claimDue(limit: room, perAccount: Self.mostPerAccount)
                            return due.isEmpty ? nil : due
                        } catch {
                            log.warning("Looking for due webhooks failed", metadata: ["error": "\(error)"])
                            return nil
                        }
                    }
                    for attempt in (attempts ?? nil) ?? [] {
                        free.withLock { $0 -= 1 }
                        group.addTask {
                            await self.deliver(attempt)
                            free.withLock { $0 += 1 }
                            self.watch.changed(WebhookStore.channel)
                        }
                    }
                }
                group.cancelAll()
            }
        }
    }

    private func deliver(_ attempt: WebhookAttempt) async {
        var status: Int?
        var problem: String?
        do {
            let secret = String(decoding: try seal.open(attempt.secretSealed, context: attempt.webhookID.description), as: UTF8.self)
            let signature = WebhookAttempt.signature(of: attempt.payload, secret: secret, at: .now)
            let code = try await transport.post(
                attempt, headers: [("Execbox-Event", attempt.event), ("Execbox-Delivery", attempt.id), ("Execbox-Signature", signature)])
            status = code
            if !(200..<300).contains(code) { problem = "the receiver answered \(code)" }
        } catch is CancellationError {
            // The claim runs out, and somebody else delivers it.
            return
        } catch {
            problem = "\(error)"
        }
        do {
            if let problem {
                let pause = WebhookAttempt.pause(after: attempt.attempts + 1, jitter: .random(in: 0..<1))
                try await store.notDelivered(attempt.id, status: status, error: String(problem.prefix(1000)), pause: pause)
            } else if let status {
                try await store.delivered(attempt.id, status: status)
            }
        } catch {
            log.warning("What became of a webhook was not written down; it is sent again", metadata: ["delivery": "\(attempt.id)"])
        }
    }
}
