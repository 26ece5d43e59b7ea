import ExecboxModel
import ExecboxPostgres
import ExecboxTestSupport
import ExecboxWire

@testable import ExecboxCore

/// A migrated database of a test's own with an account, and the stores on it.
struct StoreFixture: Sendable {
    let pool: PostgresPool
    let caller: Caller
    let claimant = Claimant.current(node: "node-1", token: "token-1")

    var sessions: SessionStore { SessionStore(database: pool) }
    var outputs: OutputStore { OutputStore(database: pool) }

    static func with(_ body: @Sendable (StoreFixture) async throws -> Void) async throws {
        try await TestDatabase.with(migrations: TestPaths.migrations) { database in
            try await database.withPool { pool in
                let keys = Keys(store: KeyStore(database: pool), accounts: AccountStore(database: pool))
                let key = try await keys.make("test", account: "test").key
                try await body(StoreFixture(pool: pool, caller: Caller(key)))
            }
        }
    }

    /// The service, and what checks keys in the same process.
    func keys() -> (Keys, Authenticator) {
        let store = KeyStore(database: pool)
        let authenticator = Authenticator(store: store, accounts: AccountStore(database: pool))
        return (Keys(store: store, accounts: AccountStore(database: pool), authenticator: authenticator), authenticator)
    }

    func accounts() -> Accounts { Accounts(store: AccountStore(database: pool), audit: AuditStore(database: pool)) }

    func newSession(labels: [String: String] = [:], resources: Resources = Resources()) -> Session {
        let now = Timestamp.now
        let milliseconds = UInt64(now.unixMicroseconds / 1000)
        return Session(
            id: .make(unixMilliseconds: milliseconds),
            accountID: caller.accountID,
            sandboxID: .make(unixMilliseconds: milliseconds),
            backend: "docker",
            node: "node-1",
            status: .pending,
            image: "execbox/base",
            pull: "missing",
            command: ["sh", "-c", "echo 'ä'"],
            environmentNames: ["A", "B"],
            workDir: "/",
            user: "",
            labels: labels,
            resources: resources,
            network: .none,
            ports: [],
            terminal: nil,
            opensStdin: true,
            createdAt: now,
            lastActiveAt: now
        )
    }

    func insert(_ session: Session? = nil) async throws -> Session {
        try await sessions.insert(
            session ?? newSession(),
            keyID: caller.keyID,
            sealedEnvironment: [1, 2, 3],
            claimant: claimant.description
        )
    }

    /// A session whose main runs, and has run for `seconds`.
    func insertRunning(labels: [String: String] = [:], resources: Resources = Resources(), seconds: Int64 = 0) async throws -> Session {
        var session = try await insert(newSession(labels: labels, resources: resources))
        session.imageDigest = "sha256:00"
        session.stopSignal = "SIGTERM"
        let owner = claimant.description
        guard try await sessions.setImage(session, claimant: owner),
            let running = try await sessions.setRunning(
                session.id, ports: [], elapsedMicroseconds: seconds * 1_000_000, claimant: owner)
        else { throw ExecboxError(.internal, "the fixture lost its own claim") }
        return running
    }

    /// Ends a session after `elapsedMs` of main.
    @discardableResult
    func finish(_ session: Session, _ reason: EndReason = .exited, elapsedMs: UInt64) async throws -> Session? {
        let report = ExitReport(
            processID: "main", cause: .exited, exitCode: 0, elapsedMicroseconds: elapsedMs * 1000, cpuMicroseconds: 7000)
        return try await sessions.finish(
            session.id, end: SessionEnd(reason: reason, exitCode: 0, report: report), lowerBound: nil, claimant: claimant.description)
    }
}

extension Keys {
    /// As an operator makes one.
    func make(
        _ name: String, account: String = "acme", tier: String = "enterprise", scopes: Set<Scope> = Scope.standard
    ) async throws -> (text: String, key: Key) {
        try await create(name: name, accountName: account, tier: tier, scopes: scopes, by: .operator("test"))
    }
}

extension Keys {
    /// As a caller makes one.
    func create(name: String, _ change: KeyChange, by caller: Caller) async throws -> (text: String, key: Key) {
        var change = change
        change.name = name
        return try await create(change, by: caller)
    }
}

extension Caller {
    /// Of an account without limits.
    init(_ key: Key) { self.init(key, tier: Tier(name: "enterprise", requestsPerSecond: 500)) }
}
