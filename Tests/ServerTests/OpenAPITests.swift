import ExecboxAgentClient
import ExecboxCore
import ExecboxDocker
import ExecboxModel
import ExecboxPostgres
import ExecboxServer
import Foundation
import Logging
import NIOPosix
import Testing

@Suite("The OpenAPI document") struct OpenAPITests {
    private let outline: OpenAPIOutline

    init() throws {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        outline = OpenAPIOutline(try String(contentsOf: package.appendingPathComponent("openapi/openapi.yaml"), encoding: .utf8))
    }

    @Test("describes every route that is served, and no other")
    func describesRoutes() throws {
        let served = Set(try Self.application().routes.map { Self.line($0.method, $0.path) })
        let described = Set(outline.operations.map { Self.line($0.method, $0.path) })
        #expect(served.subtracting(described) == [], "served, but not described")
        #expect(described.subtracting(served) == [], "described, but not served")
        #expect(described.count == outline.operations.count, "described twice")
    }

    @Test("names every operation, each by a name of its own")
    func namesOperations() {
        #expect(outline.operations.filter(\.id.isEmpty) == [])
        #expect(Set(outline.operations.map(\.id)).count == outline.operations.count)
    }

    @Test("marks what is answered with 501")
    func marksWhatIsNotOffered() {
        let marked = outline.operations.filter(\.isNotOffered)
        let expected = outline.operations.filter { $0.id == "writeTree" || $0.path.contains("/ports/") }
        #expect(marked == expected)
        #expect(!marked.isEmpty)
    }

    @Test("lists the codes, statuses and reasons that the server knows")
    func listsEnumerations() {
        let codes = ExecboxError.Code.allCases.map { ExecboxError($0, "").wireCode }
        #expect(outline.enumerations.contains(Set(codes)))
        #expect(outline.enumerations.contains(Set(SessionStatus.allCases.map(\.rawValue))))
        #expect(outline.enumerations.contains(Set(EndReason.allCases.map(\.rawValue))))
        #expect(outline.enumerations.contains(Set(NetworkMode.allCases.map(\.rawValue))))
    }

    /// Parameters may have other names in the document.
    private static func line(_ method: String, _ path: String) -> String {
        let parts = path.split(separator: "/").map { $0.hasPrefix("{") ? "{}" : String($0) }
        return "\(method) /\(parts.joined(separator: "/"))"
    }

    /// Wired as a server is, and never run: it connects to nothing.
    private static func application() throws -> ExecboxApplication {
        var log = Logger(label: "test")
        log.logLevel = .error
        let pool = PostgresPool(PostgresConfiguration(host: "/nowhere", user: "nobody", database: "none"), logger: log)
        let outputs = OutputStore(database: pool)
        let backend = try DockerBackend(configuration: DockerConfiguration(clusterID: "openapitest", agentPath: "/nowhere"), logger: log)
        let serverID = AgentLinks.makeServerID()
        let services = SessionServices(
            settings: .init(node: "test", claimant: .current(node: "test", token: serverID)), store: SessionStore(database: pool),
            outputs: outputs, writer: OutputWriter(store: outputs, log: log), backend: backend,
            links: AgentLinks(serverID: serverID, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: log),
            watch: ChangeWatch<SessionID>(), activity: SessionActivity(),
            seal: try EnvironmentSeal(secret: [UInt8](repeating: 7, count: 32)),
            log: log)
        let sessions = Sessions(services: services, supervisor: SessionSupervisor(services: services))
        let keys = Keys(store: KeyStore(database: pool), accounts: AccountStore(database: pool))
        let accounts = Accounts(store: AccountStore(database: pool), audit: AuditStore(database: pool))
        return ExecboxApplication(
            services: services, sessions: sessions, execs: Execs(services: services, sessions: sessions),
            authenticator: Authenticator(store: KeyStore(database: pool), accounts: AccountStore(database: pool)),
            accounts: accounts, keys: keys,
            usage: UsageReports(store: UsageStore(database: pool), accounts: accounts, keys: KeyStore(database: pool)),
            limiter: RateLimiter(store: RateStore(database: pool)),
            idempotency: Idempotency(store: IdempotencyStore(database: pool), claimant: services.settings.claimant, log: log),
            administration: Administration(database: pool),
            signUp: SignUp(
                settings: .init(), keys: keys, requests: QuotaRequestStore(database: pool)),
            clientAddress: ClientAddress(trustedProxies: []),
            webhooks: Webhooks(
                store: WebhookStore(database: pool), seal: try SecretSeal(secret: [UInt8](repeating: 7, count: 32), purpose: "webhook")),
            health: HealthRoutes(checks: [], warnings: { [] }),
            presenter: SessionPresenter(publicHost: "localhost"))
    }
}
