import ExecboxModel
import Logging
import ServiceLifecycle

/// Ends the sessions of accounts that have reached their monthly cost limit while they run. New ones are not admitted then anyway.
package struct BudgetGuard: Service {
    private static let interval = Duration.seconds(1)

    private let usage: UsageStore
    private let services: SessionServices
    private let supervisor: SessionSupervisor

    package init(usage: UsageStore, services: SessionServices, supervisor: SessionSupervisor) {
        self.usage = usage
        self.services = services
        self.supervisor = supervisor
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await check()
                } catch {
                    services.log.debug("Checking cost limits failed", metadata: ["error": "\(error)"])
                }
                try? await Task.sleep(for: Self.interval)
            }
        }
    }

    package func check() async throws {
        for account in try await usage.budgetedAccounts(node: services.settings.node) {
            guard let due = try await usage.checkBudget(of: account) else { continue }
            for id in due.sessions {
                let error = "the account's monthly cost limit of \(due.limitMicros) micro-USD is reached"
                guard let session = try await services.store.want(.budgetExceeded, error: error, graceMs: nil, of: id) else { continue }
                services.log.info("A session ends for its account's cost limit", metadata: ["session": "\(id)", "account": "\(account)"])
                services.watch.changed(id)
                if session.node == services.settings.node { supervisor.start(id) }
            }
        }
    }
}
