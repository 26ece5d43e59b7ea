import ExecboxAPI
import ExecboxCore
import ExecboxModel
import HTTPTypes
import Hummingbird

/// `/v1/waitlist` and `/v1/quota-requests`: what strangers may ask for, so often from one address (PROTOCOL §6).
struct SignUpRoutes {
    let signUp: SignUp
    let authenticator: Authenticator
    let limiter: RateLimiter
    let clientAddress: ClientAddress
    let once: IdempotentRoute

    func add(to routes: RouteTable) {
        routes.on("waitlist", [.post: join], scopes: nil)
        routes.on("quota-requests", [.post: ask], scopes: nil)
    }

    private func join(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        try signUp.checkOpen()
        let client = try await count("waitlist", request, context)
        let bytes = try await request.bytes()
        let body = try WaitlistBody(json: bytes)
        return try await once(request, context, scope: "address:\(client)", body: bytes) { claim in
            let (text, key, tier) = try await signUp.join(email: body.email, name: body.name, idempotency: claim)
            let message = "Welcome to Execbox Cloud. Keep the key: it is shown this once only."
            return try .json(WelcomeBody(id: key.id.description, key: text, tier: tier, message: message), status: .created)
        } again: { id in
            let key = try await signUp.joined(id)
            let message = "The key was shown when the account was made."
            return try .json(WelcomeBody(id: key.id.description, key: nil, tier: Tier.fallbackName, message: message), status: .created)
        }
    }

    /// With a key it is its account's request, without one a stranger's.
    private func ask(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let client = try await count("quota_requests", request, context)
        let bearer = Authentication.bearer(of: request)
        let caller: Caller? = if let bearer { try await authenticator.caller(bearer: bearer) } else { nil }
        let bytes = try await request.bytes()
        let new = QuotaRequest(try AskForQuotaBody(json: bytes))
        return try await once(request, context, scope: caller?.accountID.description ?? "address:\(client)", body: bytes) { claim in
            try Self.answer(try await signUp.ask(new, by: caller, idempotency: claim))
        } again: { id in
            try Self.answer(try await signUp.asked(id))
        }
    }

    private static func answer(_ stored: QuotaRequest) throws -> Response {
        var body = QuotaRequestBody(id: stored.id, status: stored.status.rawValue, createdAt: stored.createdAt)
        body.message = "Your request was received; the answer comes to \(stored.email)."
        return try .json(body, status: .created)
    }

    /// Counts the request against the client's address, which it returns.
    private func count(_ what: String, _ request: Request, _ context: ServerContext) async throws -> String {
        let client = clientAddress.client(of: request, context)?.customer ?? "local"
        let outcome = try await limiter.admit([signUp.limit(what, address: client)])
        context.rate.status = outcome.status
        if case .refused(let error, _) = outcome { throw error }
        return client
    }
}

extension QuotaRequest {
    fileprivate init(_ body: AskForQuotaBody) {
        self.init(email: body.email)
        name = body.name
        company = body.company
        useCase = body.useCase
        requestedLimits = body.requestedLimits
        budget = body.budget
    }
}

extension QuotaRequestBody {
    /// As operators see it.
    init(_ request: QuotaRequest) {
        self.init(id: request.id, status: request.status.rawValue, createdAt: request.createdAt)
        accountID = request.accountID?.description
        email = request.email
        name = request.name
        company = request.company
        useCase = request.useCase
        requestedLimits = request.requestedLimits
        budget = request.budget
    }
}
