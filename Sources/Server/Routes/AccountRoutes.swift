import ExecboxAPI
import ExecboxCore
import ExecboxModel
import HTTPTypes
import Hummingbird

/// `/v1/account`: the caller's account, its limits and its audit log (PROTOCOL §6).
struct AccountRoutes {
    let accounts: Accounts
    let keys: Keys

    func add(to routes: RouteTable) {
        routes.on("account", [.get: account], scopes: .anyKey)
        routes.on("account/limits", [.get: limits, .put: changeLimits], scopes: .limits)
        routes.on("account/audit", [.get: audit], scopes: .keys)
    }

    private func account(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let caller = try context.caller
        let account = try await accounts.account(of: caller)
        let key = try await keys.key(caller.keyID.description, of: caller)
        return try .json(
            AccountBody(
                id: account.id.description, name: account.name, email: account.email, tier: account.tier.name,
                tierExpiresAt: account.tierExpiresAt, apiKeyID: key.id.description, apiKeyPreview: key.preview,
                createdAt: account.createdAt))
    }

    private func limits(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        return try .json(AccountLimitsBody(try await accounts.account(of: context.caller)))
    }

    private func changeLimits(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let body = try UpdateAccountLimitsBody(json: try await request.bytes())
        var change = Accounts.LimitsChange()
        change.sessionsPerDay = body.dailyRequestsLimit
        change.concurrentSessions = body.concurrentRequestsLimit
        change.monthlyCostMicros = body.monthlyCostLimitMicros
        change.billingEmail = body.billingEmail
        change.alertThreshold = body.alertThreshold
        change.timezone = body.timezone
        return try .json(AccountLimitsBody(try await accounts.changeLimits(change, by: context.caller)))
    }

    private func audit(_ request: Request, _ context: ServerContext) async throws -> Response {
        let query = try AuditQuery(request.queryItems())
        let (entries, next) = try await accounts.auditLog(of: context.caller, cursor: query.cursor, limit: query.limit)
        return try .json(AuditBody(entries: entries.map(AuditBody.Entry.init), nextCursor: next.map { "\($0)" }))
    }
}

extension AccountLimitsBody {
    init(_ account: Account) {
        self.init(
            dailyRequestsLimit: account.sessionsPerDay ?? -1, concurrentRequestsLimit: account.concurrentSessions ?? -1,
            monthlyCostLimitMicros: account.limits.monthlyCostMicros, alertThreshold: account.limits.alertThreshold,
            timezone: account.limits.timezone, billingEmail: account.limits.billingEmail)
    }
}

extension AuditBody.Entry {
    init(_ entry: AuditEntry) {
        self.init(
            id: entry.id, at: entry.at, actor: entry.actor, action: entry.action.rawValue, target: entry.target,
            changes: entry.changes.mapValues { Change(old: $0.old, new: $0.new) })
    }
}
