import ExecboxModel
import ExecboxPostgres

/// All SQL on idempotent requests.
package struct IdempotencyStore: Sendable {
    /// How long a request holds its key without being renewed.
    static let claimSeconds = 30.0
    private static let lifetime = "24 hours"

    /// What is known of a request.
    enum State: Sendable {
        case claimed
        case done(resource: String)
        case inFlight(owner: String, token: String, isExpired: Bool)
        /// The same key stood for another request.
        case other
    }

    private let database: PostgresPool

    package init(database: PostgresPool) { self.database = database }

    /// Takes the request if nobody has it, or only `predecessor` does.
    func claim(_ claim: IdempotencyClaim, owner: String, from predecessor: String?) async throws -> State {
        let request = claim.request
        let taken = try await database.execute(
            """
            INSERT INTO idempotency_records AS r (scope, key, fingerprint, owner, token, claimed_until)
            VALUES (\(request.scope), \(request.key), \(request.fingerprint), \(owner), \(claim.token),
                now() + make_interval(secs => \(Self.claimSeconds)))
            ON CONFLICT (scope, key) DO UPDATE SET fingerprint = EXCLUDED.fingerprint, owner = EXCLUDED.owner, token = EXCLUDED.token,
                claimed_until = EXCLUDED.claimed_until, resource = NULL, created_at = now()
            WHERE r.created_at < now() - \(raw: "interval '\(Self.lifetime)'")
                OR (r.resource IS NULL AND (r.claimed_until < now()
                    OR (r.fingerprint = EXCLUDED.fingerprint AND r.token = \(predecessor))))
            """
        )
        if taken == 1 { return .claimed }
        let rows = try await database.query(
            """
            SELECT fingerprint, owner, token, resource, claimed_until < now() AS is_expired FROM idempotency_records
            WHERE scope = \(request.scope) AND key = \(request.key)
            """
        )
        // It was given up this moment.
        guard let row = rows.first else { return .inFlight(owner: "", token: "", isExpired: false) }
        guard try row.decode([UInt8].self, "fingerprint") == request.fingerprint else { return .other }
        if let resource = try row.decode(String?.self, "resource") { return .done(resource: resource) }
        return .inFlight(
            owner: try row.decode(String.self, "owner"), token: try row.decode(String.self, "token"),
            isExpired: try row.decode(Bool.self, "is_expired"))
    }

    func renew(_ claim: IdempotencyClaim) async throws {
        _ = try await database.execute(
            """
            UPDATE idempotency_records SET claimed_until = now() + make_interval(secs => \(Self.claimSeconds))
            WHERE scope = \(claim.request.scope) AND key = \(claim.request.key) AND token = \(claim.token)
            """
        )
    }

    /// The request came to nothing: it may be made again.
    func giveUp(_ claim: IdempotencyClaim) async throws {
        _ = try await database.execute(
            """
            DELETE FROM idempotency_records
            WHERE scope = \(claim.request.scope) AND key = \(claim.request.key) AND token = \(claim.token)
            """
        )
    }

    func record(_ claim: IdempotencyClaim, resource: String) async throws {
        try await database.withTransaction { try await Self.record(claim, resource: resource, $0) }
    }

    /// - Throws: `conflict` if another request has taken over: then nothing of this one may stay.
    static func record(_ claim: IdempotencyClaim?, resource: String, _ transaction: PostgresTransaction) async throws {
        guard let claim else { return }
        let recorded = try await transaction.execute(
            """
            UPDATE idempotency_records SET resource = \(resource), owner = NULL, token = NULL, claimed_until = NULL
            WHERE scope = \(claim.request.scope) AND key = \(claim.request.key) AND token = \(claim.token)
            """
        )
        guard recorded == 1 else {
            throw ExecboxError(.conflict, "another request with this Idempotency-Key has taken over; ask again")
        }
    }

    package func sweep() async throws {
        _ = try await database.execute(
            "DELETE FROM idempotency_records WHERE created_at < now() - \(raw: "interval '\(Self.lifetime)'")")
    }
}
