import ExecboxAgentClient
import ExecboxCore
import ExecboxDocker
import ExecboxModel
import ExecboxPostgres
import ExecboxSandbox
import ExecboxServer
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization
import UnixSignals

/// Wires the server: the only place that knows every type.
struct ServerAssembly {
    private let configuration: ServerConfiguration
    private let log: Logger
    private let pool: PostgresPool
    private let listener: PostgresListener
    private let services: SessionServices
    private let supervisor: SessionSupervisor
    private let backend: DockerBackend
    private let authenticator: Authenticator
    private let webhookSeal: SecretSeal

    init(_ configuration: ServerConfiguration) async throws {
        self.configuration = configuration
        log = configuration.logger()
        let database = try await configuration.database(log)
        try await configuration.prepareSchema(database, log)
        let clusterID = try await PostgresPool.with(database, logger: log) { pool in
            try await ClusterStore(database: pool).id()
        }
        backend = try DockerBackend(configuration: configuration.docker(clusterID: clusterID), logger: log)
        pool = PostgresPool(database, logger: log)
        listener = PostgresListener(database, logger: log)
        let secret = try configuration.secretKey()
        webhookSeal = try SecretSeal(secret: secret, purpose: "webhook")
        let serverID = AgentLinks.makeServerID()
        let outputs = OutputStore(database: pool)
        services = SessionServices(
            settings: .init(node: configuration.node, claimant: .current(node: configuration.node, token: serverID)),
            store: SessionStore(database: pool, claimSeconds: configuration.claimSeconds),
            outputs: outputs,
            writer: OutputWriter(store: outputs, log: log),
            backend: backend,
            links: AgentLinks(serverID: serverID, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: log),
            watch: ChangeWatch<SessionID>(),
            activity: SessionActivity(),
            seal: try EnvironmentSeal(secret: secret),
            log: log
        )
        supervisor = SessionSupervisor(services: services)
        authenticator = Authenticator(store: KeyStore(database: pool), accounts: AccountStore(database: pool))
    }

    /// Serves until SIGTERM or SIGINT, then lets streams end with 1001. Sandboxes live on.
    func run() async throws {
        let backend = backend
        let pool = pool
        let log = log
        let start = BackendStart(
            backend: backend, admissions: AdmissionStore(database: pool), node: configuration.node,
            cpuOvercommit: configuration.cpuOvercommit, maxSessions: configuration.maxSessions, log: log)
        let sessions = Sessions(services: services, supervisor: supervisor)
        let webhookWatch = ChangeWatch<String>()
        let accounts = Accounts(store: AccountStore(database: pool), audit: AuditStore(database: pool))
        let keys = Keys(store: KeyStore(database: pool), accounts: AccountStore(database: pool), authenticator: authenticator)
        let idempotency = IdempotencyStore(database: pool)
        let application = ExecboxApplication(
            services: services,
            sessions: sessions,
            execs: Execs(services: services, sessions: sessions),
            authenticator: authenticator,
            accounts: accounts,
            keys: keys,
            usage: UsageReports(store: UsageStore(database: pool), accounts: accounts, keys: KeyStore(database: pool)),
            limiter: RateLimiter(store: RateStore(database: pool)),
            idempotency: Idempotency(store: idempotency, claimant: services.settings.claimant, log: log),
            administration: .init(database: pool),
            signUp: SignUp(
                settings: configuration.signUp, keys: keys,
                requests: QuotaRequestStore(database: pool)),
            clientAddress: ClientAddress(trustedProxies: configuration.trustedProxies),
            webhooks: Webhooks(store: WebhookStore(database: pool), seal: webhookSeal),
            health: HealthRoutes(
                checks: [
                    ("the database", { _ = try await pool.query("SELECT 1") }),
                    ("Docker", { try await start.check() }),
                ],
                warnings: {
                    backend.capabilities.isIsolationUnproved
                        ? ["the isolation of networks is unproved: EXECBOX_ISOLATION=best-effort"] : []
                }
            ),
            presenter: SessionPresenter(publicHost: configuration.publicHost)
        )
        let logsAnswers = configuration.logLevel <= .info
        let server = application.server(
            address: .hostname(configuration.host, port: configuration.port),
            group: MultiThreadedEventLoopGroup.singleton,
            log: log,
            onAnswer: { if logsAnswers { Self.log($0) } }
        ) { channel in
            log.info("Serving", metadata: ["address": "\(channel.localAddress.map { "\($0)" } ?? "?")", "node": "\(configuration.node)"])
        }
        // Started in this order and stopped in the other: the application, which takes requests, is the last to start.
        var group = ServiceGroupConfiguration(
            services: [
                .init(service: pool), .init(service: listener), .init(service: services.links), .init(service: services.writer),
                .init(service: start),
                .init(
                    service: ChangeRelay(
                        listener: listener, watch: services.watch, webhookWatch: webhookWatch, authenticator: authenticator)),
                .init(
                    service: WebhookDispatcher(
                        store: WebhookStore(database: pool), seal: webhookSeal,
                        transport: CurlWebhookTransport(
                            allowed: configuration.webhookNetworks, certificateAuthorityFile: configuration.webhookAuthorities),
                        watch: webhookWatch, log: log)),
                .init(service: supervisor),
                .init(
                    service: Sweeper(
                        [
                            ("rate buckets", RateStore(database: pool).sweep), ("idempotent requests", idempotency.sweep),
                            ("webhook deliveries", WebhookStore(database: pool).sweep),
                        ], log: log)),
                .init(service: BudgetGuard(usage: UsageStore(database: pool), services: services, supervisor: supervisor)),
                .init(service: Reconciler(services: services)), .init(service: server),
            ],
            gracefulShutdownSignals: [.sigterm, .sigint],
            logger: log
        )
        group.maximumGracefulShutdownDuration = .seconds(20)
        // What does not even end when it is cancelled is a bug, and must not keep a supervisor waiting.
        group.maximumCancellationDuration = .seconds(10)
        try await ServiceGroup(configuration: group).run()
    }

    private static func log(_ record: RequestRecord) {
        var line = JSONLine(level: .info, message: "Request")
        line.add("durationMs", String(record.durationMs))
        line.add("method", record.method)
        line.add("path", record.path)
        line.add("requestId", record.requestID)
        line.add("status", String(record.status))
        LogOutput.standardError.write(line.finished(), isUrgent: false)
    }
}

/// Brings the backend up, however long the engine is away, and keeps its host rules; until then the server is not ready.
private final class BackendStart: Service {
    private let backend: DockerBackend
    private let admissions: AdmissionStore
    private let node: String
    private let cpuOvercommit: Int
    private let maxSessions: Int
    private let log: Logger
    private let isStarted = Mutex(false)

    init(backend: DockerBackend, admissions: AdmissionStore, node: String, cpuOvercommit: Int, maxSessions: Int, log: Logger) {
        self.backend = backend
        self.admissions = admissions
        self.node = node
        self.cpuOvercommit = cpuOvercommit
        self.maxSessions = maxSessions
        self.log = log
    }

    /// - Throws: unless the engine answers and has been proved once.
    func check() async throws {
        try await backend.ping()
        guard isStarted.withLock({ $0 }) else { throw BackendError.unavailable("the backend is still being proved") }
    }

    func run() async throws {
        try await cancelWhenGracefulShutdown {
            try await self.start()
            await self.backend.run()
        }
    }

    private func start() async throws {
        var isReported = false
        while true {
            do throws(BackendError) {
                try await backend.start()
                break
            } catch {
                guard case .unavailable(let text) = error else { throw error }
                if !isReported { log.error("The backend does not answer, trying on", metadata: ["reason": "\(text)"]) }
                isReported = true
            }
            try await Task.sleep(for: .seconds(2))
        }
        let capabilities = backend.capabilities
        try await setCapacity(capabilities)
        let networks = capabilities.networks.map(\.rawValue).sorted().joined(separator: " ")
        log.info("Backend ready", metadata: ["backend": "\(backend.name)", "networks": "\(networks)"])
        if let refusal = capabilities.networkRefusal { log.warning("Networks are limited", metadata: ["reason": "\(refusal)"]) }
        if capabilities.isIsolationUnproved {
            log.warning("The isolation of networks is unproved", metadata: ["setting": "EXECBOX_ISOLATION=best-effort"])
        }
        isStarted.withLock { $0 = true }
    }

    /// A fifth of the memory stays with the host itself; CPUs are shared, since most sessions wait most of the time.
    private func setCapacity(_ capabilities: BackendCapabilities) async throws {
        let capacity = HostLoad.Amount(
            sessions: maxSessions, memoryMB: max(1, Int(capabilities.memoryBytes / 5 * 4 / (1 << 20))),
            cpuMillis: capabilities.cpuCount * 1000 * cpuOvercommit)
        while true {
            do {
                return try await admissions.setCapacity(capacity, of: node)
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                log.error("The host's capacity was not recorded, trying on", metadata: ["error": "\(error)"])
                try await Task.sleep(for: .seconds(2))
            }
        }
    }
}

/// Passes PostgreSQL's notifications on to those who wait in this process.
private struct ChangeRelay: Service {
    let listener: PostgresListener
    let watch: ChangeWatch<SessionID>
    let webhookWatch: ChangeWatch<String>
    let authenticator: Authenticator

    func run() async throws {
        let sessions = listener.subscribe(SessionStore.channel)
        let changedKeys = listener.subscribe(KeyStore.channel)
        let webhooks = listener.subscribe(WebhookStore.channel)
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask {
                    for await event in sessions {
                        switch event {
                        case .resync: watch.resync()
                        case .notified(let ids): for id in ids.compactMap({ SessionID($0) }) { watch.changed(id) }
                        }
                    }
                }
                group.addTask {
                    for await _ in webhooks { webhookWatch.changed(WebhookStore.channel) }
                }
                group.addTask {
                    for await event in changedKeys {
                        switch event {
                        case .resync: authenticator.resync()
                        case .notified(let ids): for id in ids { authenticator.changed(publicID: id) }
                        }
                    }
                }
            }
        }
    }
}
