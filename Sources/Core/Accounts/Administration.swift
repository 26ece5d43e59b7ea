import ExecboxModel
import ExecboxPostgres

/// What operators do, over `/v1/admin` or on the server's host: accounts, tiers, prices and requests for more.
package struct Administration: Sendable {
    private let accounts: AccountStore
    private let tiers: TierStore
    private let prices: PriceStore
    private let requests: QuotaRequestStore
    private let audit: AuditStore
    private let drifts: DriftStore

    package init(database: PostgresPool) {
        accounts = AccountStore(database: database)
        tiers = TierStore(database: database)
        prices = PriceStore(database: database)
        requests = QuotaRequestStore(database: database)
        audit = AuditStore(database: database)
        drifts = DriftStore(database: database)
    }

    package struct Page<Element: Sendable, Cursor: Sendable>: Sendable {
        package var elements: [Element]
        /// Nil on the last page.
        package var next: Cursor?

        init(_ elements: [Element], limit: Int, cursor: (Element) -> Cursor) {
            self.elements = Array(elements.prefix(limit))
            next = elements.count > limit ? self.elements.last.map(cursor) : nil
        }
    }

    // MARK: Accounts

    package func accounts(name: String?, email: String?, after: AccountID?, limit: Int) async throws -> Page<Account, AccountID> {
        let found = try await accounts.list(name: name, emailKey: email.map(EmailAddress.key), after: after, limit: limit + 1)
        return Page(found, limit: limit, cursor: \.id)
    }

    package func account(_ id: String) async throws -> Account {
        guard let id = AccountID(id), let account = try await accounts.account(id) else { throw Self.noAccount }
        return account
    }

    /// - Throws: `conflict` if the address has an account.
    package func createAccount(_ change: AccountChange, by actor: AuditActor, idempotency: IdempotencyClaim? = nil) async throws -> Account
    {
        try await accounts.create(change, by: actor, idempotency: idempotency)
    }

    package func updateAccount(_ id: String, _ change: AccountChange, by actor: AuditActor) async throws -> Account {
        guard let id = AccountID(id), let account = try await accounts.update(id, change, by: actor) else { throw Self.noAccount }
        return account
    }

    private static let noAccount = ExecboxError(.notFound, "no such account")

    // MARK: Tiers and prices

    package func allTiers() async throws -> [Tier] { try await tiers.tiers() }

    package func putTier(_ tier: Tier, by actor: AuditActor) async throws -> Tier {
        try tier.check()
        return try await tiers.put(tier, by: actor)
    }

    package func deleteTier(_ name: String, by actor: AuditActor) async throws {
        if name == Tier.fallbackName { throw ExecboxError(.conflict, "accounts whose tier has expired have the tier \(name)") }
        guard try await tiers.delete(name, by: actor) else { throw ExecboxError(.notFound, "no tier \(name.prefix(64))") }
    }

    package func allPrices() async throws -> [Price] { try await prices.prices() }

    /// - Throws: `invalidArgument` for a date in the past: what sessions have started at stays.
    package func addPrice(_ price: Price, by actor: AuditActor, idempotency: IdempotencyClaim? = nil) async throws -> Price {
        // Clocks may differ a little.
        if price.validFrom < Timestamp.now.adding(milliseconds: -60_000) {
            throw ExecboxError.invalid("valid_from", "valid_from is in the past: \(price.validFrom.text)")
        }
        return try await prices.add(price, by: actor, idempotency: idempotency)
    }

    package func deletePrice(validFrom: Timestamp, by actor: AuditActor) async throws {
        guard try await prices.delete(validFrom: validFrom, by: actor) else {
            throw ExecboxError(.notFound, "no price begins at \(validFrom.text)")
        }
    }

    // MARK: Requests, log, drift

    package func quotaRequests(_ status: QuotaRequest.Status?, before: Int64?, limit: Int) async throws -> Page<QuotaRequest, Int64> {
        Page(try await requests.list(status, before: before, limit: limit + 1), limit: limit, cursor: \.id)
    }

    package func decide(_ id: Int64, _ status: QuotaRequest.Status, by actor: AuditActor) async throws -> QuotaRequest {
        guard let request = try await requests.decide(id, status, by: actor) else {
            throw ExecboxError(.notFound, "no quota request \(id)")
        }
        return request
    }

    /// Every account's entries, and those of tiers and prices.
    package func auditLog(before: Int64?, limit: Int) async throws -> Page<AuditEntry, Int64> {
        Page(try await audit.entries(of: nil, before: before, limit: limit + 1), limit: limit, cursor: \.id)
    }

    package func drift() async throws -> [DriftCheck] { try await drifts.checks() }
}
