import ExecboxModel
import ExecboxSandbox
import Logging
import ServiceLifecycle

/// Compares rows with sandboxes, both ways, for ever: what no living session points at is destroyed, and what is gone is marked so.
///
/// Sessions whose sandbox disappeared are their runner's to end; this finds what has no runner.
package struct Reconciler: Service {
    private let services: SessionServices
    private let interval: Duration

    package init(services: SessionServices, interval: Duration = .seconds(15)) {
        self.services = services
        self.interval = interval
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await self.reconcile()
                } catch {
                    self.services.log.debug("Reconciling failed, it is tried again", metadata: ["error": "\(error)"])
                }
                try? await Task.sleep(for: self.interval)
            }
        }
    }

    /// One comparison. Also called by tests.
    package func reconcile() async throws {
        let backend = services.backend
        // Rows come after the list: a sandbox made in between is in no list and is left alone.
        let found = try await backend.list()
        let unwanted = Set(try await services.store.unwanted(among: found.map(\.sandboxID)))
        for ref in found where unwanted.contains(ref.sandboxID) {
            services.log.info("Destroying a sandbox that no session needs", metadata: ["sandbox": "\(ref.sandboxID)"])
            try await destroy(ref.sandboxID)
        }
        let here = Set(found.map(\.sandboxID))
        for sandbox in try await services.store.leftoverSandboxes(backend: backend.name, node: services.settings.node)
        where !here.contains(sandbox) {
            // An empty answer of list proves nothing; destroy is idempotent and takes folders away too.
            try await destroy(sandbox)
        }
        try await services.outputs.maintainPartitions(retentionDays: 7)
        try await watchDisks(found)
    }

    private func destroy(_ sandbox: SandboxID) async throws {
        try await services.backend.destroy(SandboxRef(sandboxID: sandbox))
        try await services.store.setDestroyed(sandbox)
    }

    /// Where no storage driver enforces `diskMB`, this does.
    private func watchDisks(_ found: [SandboxRef]) async throws {
        guard !services.backend.capabilities.enforcesDiskQuota else { return }
        for open in try await services.store.openSessions(node: services.settings.node) {
            guard let session = try await services.store.session(open.id), session.status == .running,
                let ref = found.first(where: { $0.sandboxID == session.sandboxID }),
                let bytes = try? await services.backend.diskUsage(ref), bytes > Int64(session.resources.diskMB) << 20
            else { continue }
            let error = "the writable layer has \(bytes >> 20) MB, its limit is \(session.resources.diskMB) MB"
            _ = try await services.store.want(.diskExceeded, error: error, graceMs: nil, of: session.id)
            services.watch.changed(session.id)
        }
    }
}
