import ExecboxCore
import ExecboxModel
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOPosix

/// The HTTP and WebSocket server: routes over services, nothing else.
package struct ExecboxApplication {
    package var services: SessionServices
    package var sessions: Sessions
    package var execs: Execs
    package var authenticator: Authenticator
    package var accounts: Accounts
    package var keys: Keys
    package var usage: UsageReports
    package var limiter: RateLimiter
    package var idempotency: Idempotency
    package var administration: Administration
    package var signUp: SignUp
    package var clientAddress: ClientAddress
    package var webhooks: Webhooks
    package var health: HealthRoutes
    package var presenter: SessionPresenter

    package init(
        services: SessionServices,
        sessions: Sessions,
        execs: Execs,
        authenticator: Authenticator,
        accounts: Accounts,
        keys: Keys,
        usage: UsageReports,
        limiter: RateLimiter,
        idempotency: Idempotency,
        administration: Administration,
        signUp: SignUp,
        clientAddress: ClientAddress,
        webhooks: Webhooks,
        health: HealthRoutes,
        presenter: SessionPresenter
    ) {
        self.services = services
        self.sessions = sessions
        self.execs = execs
        self.authenticator = authenticator
        self.accounts = accounts
        self.keys = keys
        self.usage = usage
        self.limiter = limiter
        self.idempotency = idempotency
        self.administration = administration
        self.signUp = signUp
        self.clientAddress = clientAddress
        self.webhooks = webhooks
        self.health = health
        self.presenter = presenter
    }

    /// Every route that is served, for comparison with `openapi/openapi.yaml`.
    package var routes: [Route] {
        var routes: [Route] = []
        _ = router(record: { routes.append($0) })
        return routes
    }

    private func router(
        record: @escaping (Route) -> Void = { _ in }, onAnswer: @escaping @Sendable (RequestRecord) -> Void = { _ in }
    ) -> Router<ServerContext> {
        let router = Router(context: ServerContext.self)
        router.add(middleware: RequestIdentity(onAnswer: onAnswer))
        health.add(to: RouteTable(group: router.group(""), prefix: "", record: record))
        let once = IdempotentRoute(idempotency: idempotency)
        SignUpRoutes(
            signUp: signUp, authenticator: authenticator, limiter: limiter, clientAddress: clientAddress, once: once
        ).add(to: RouteTable(group: router.group("v1"), prefix: "/v1", record: record))
        let v1 = router.group("v1").add(middleware: Authentication(authenticator: authenticator)).add(
            middleware: RateLimiting(limiter: limiter)
        )
        let routes = RouteTable(group: v1, prefix: "/v1", record: record)
        SessionRoutes(sessions: sessions, presenter: presenter, once: once).add(to: routes)
        let streams = StreamRoutes(services: services, sessions: sessions, execs: execs, authenticator: authenticator)
        ExecRoutes(sessions: sessions, execs: execs, once: once).add(to: routes, stream: streams.exec)
        routes.on("sessions/:id/attach", [:], scopes: .sessions, stream: streams.attach)
        LogRoutes(services: services, sessions: sessions).add(to: routes)
        AccountRoutes(accounts: accounts, keys: keys).add(to: routes)
        KeyRoutes(keys: keys, once: once).add(to: routes)
        FileRoutes(sessions: sessions, files: Files(services: services, sessions: sessions), once: once).add(to: routes)
        UsageRoutes(reports: usage).add(to: routes)
        WebhookRoutes(webhooks: webhooks, once: once).add(to: routes)
        AdminRoutes(administration: administration, keys: keys, once: once).add(to: routes)
        let sessions = sessions
        LaterRoutes { context in _ = try await sessions.session(context.parameter("id"), of: context.caller) }.add(to: routes)
        return router
    }

    /// A service that listens on `address` until it is shut down; streams then get 1001.
    ///
    /// - Parameter onAnswer: told of every request once its answer's head is known.
    package func server(
        address: BindAddress,
        group: any EventLoopGroup,
        log: Logger,
        onAnswer: @escaping @Sendable (RequestRecord) -> Void = { _ in },
        onRunning: @escaping @Sendable (any Channel) async -> Void = { _ in }
    ) -> some ApplicationProtocol {
        let responder = router(onAnswer: onAnswer).buildResponder()
        return Application(
            responder: responder,
            server: .http1WithStreams(responder),
            configuration: ApplicationConfiguration(address: address, serverName: nil),
            onServerRunning: onRunning,
            eventLoopGroupProvider: .shared(group),
            logger: log
        )
    }
}
