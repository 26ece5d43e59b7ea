import ExecboxAgentClient
import ExecboxModel
import ExecboxSandbox
import Logging

/// What everything that works on sessions needs, wired once at start-up.
package struct SessionServices: Sendable {
    package struct Settings: Sendable {
        /// This host, as it stands in rows: only its own sandboxes can be reached.
        package var node: String
        /// This process, as it stands in claims: `node/pid/start time`.
        package var claimant: Claimant
        /// Main's first bytes, recorded without loss, and its last ones, kept in the agent (ARCHITECTURE, "Output").
        package var headBytes: Int64 = 2 << 20
        package var ringBytes: Int64 = 2 << 20
        /// A session that does not run after so long fails.
        package var startLimit: Duration = .seconds(600)

        package init(node: String, claimant: Claimant) {
            self.node = node
            self.claimant = claimant
        }

        /// Sandboxes with little memory keep less output in the agent.
        func ringBytes(memoryMB: Int) -> Int64 { memoryMB < 64 ? min(ringBytes, 1 << 20) : ringBytes }
    }

    package var settings: Settings
    package var store: SessionStore
    /// For what is asked often.
    package let reader: SessionReader
    package var outputs: OutputStore
    package var writer: OutputWriter
    package var backend: any SandboxBackend
    package var links: AgentLinks
    package var watch: ChangeWatch<SessionID>
    package var activity: SessionActivity
    package var seal: EnvironmentSeal
    package var log: Logger

    package init(
        settings: Settings,
        store: SessionStore,
        outputs: OutputStore,
        writer: OutputWriter,
        backend: any SandboxBackend,
        links: AgentLinks,
        watch: ChangeWatch<SessionID>,
        activity: SessionActivity,
        seal: EnvironmentSeal,
        log: Logger
    ) {
        self.settings = settings
        self.store = store
        reader = SessionReader(store: store)
        self.outputs = outputs
        self.writer = writer
        self.backend = backend
        self.links = links
        self.watch = watch
        self.activity = activity
        self.seal = seal
        self.log = log
    }

    /// The link to a session's agent, opened when this process does not have it yet.
    package func link(to session: Session) async throws -> AgentLink {
        if let link = links.link(for: session.sandboxID) { return link }
        do throws(BackendError) {
            let transport = try await backend.connect(SandboxRef(sandboxID: session.sandboxID))
            return try await open(session, transport)
        } catch {
            throw error.domainError
        }
    }

    private func open(_ session: Session, _ transport: AgentTransport) async throws(BackendError) -> AgentLink {
        do {
            return try await links.open(session.sandboxID, transport: transport)
        } catch {
            throw .unavailable("the agent's socket: \(error)")
        }
    }
}
