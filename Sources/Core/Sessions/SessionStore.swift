import ExecboxModel
import ExecboxPostgres
import ExecboxWire
import FoundationEssentials

/// All SQL on sessions and their sandboxes. Rules live in `SessionLifecycle` and `Sessions`; this only makes them atomic.
///
/// Writes of a session's driver are fenced by its claim: they change nothing (and return false) once another process took it over.
package struct SessionStore: Sendable {
    package static let channel = "execbox_session"

    /// No sandbox uses more at once; an agent may say anything.
    private static let mostCPUs: Int64 = 1024

    private let database: PostgresPool

    /// How long a claim holds without being renewed.
    let claimSeconds: Int

    package init(database: PostgresPool, claimSeconds: Int = 30) {
        self.database = database
        self.claimSeconds = claimSeconds
    }

    // MARK: Callers

    /// Inserts session, sandbox and recording in one transaction; the row is claimed by its maker from the start.
    ///
    /// Its status is `starting` if its image is settled (`Session.settle`), else `pending`.
    ///
    /// - Parameters:
    ///   - idempotency: recorded with it.
    ///   - admit: throws if there is no place for it. What it is given stays true until the session is there.
    package func insert(
        _ session: Session, keyID: KeyID, sealedEnvironment: [UInt8], claimant: String, idempotency: IdempotencyClaim? = nil,
        admit: @Sendable (Admission) throws -> Void = { _ in }
    ) async throws -> Session {
        let labels = try JSONText.encode(session.labels)
        let ports = try JSONText.encode(session.ports.map(StoredPort.init))
        let resources = session.resources
        return try await database.withTransaction { transaction in
            try await IdempotencyStore.record(idempotency, resource: session.id.description, transaction)
            try admit(try await AdmissionStore.admission(account: session.accountID, key: keyID, node: session.node, transaction))
            let rows = try await transaction.query(
                """
                WITH sandbox AS (INSERT INTO sandboxes (id, backend, node)
                        VALUES (\(session.sandboxID.description), \(session.backend), \(session.node))),
                    recording AS (INSERT INTO recordings (session_id) VALUES (\(session.id.description)))
                INSERT INTO sessions (id, account_id, key_id, sandbox_id, backend, node, status, image, pull, image_digest, stop_signal,
                    command, env_names, env_sealed, work_dir, user_name, labels, cpu_millis, memory_mb, disk_mb, pids, timeout_ms, idle_timeout_ms, disk_read_bps,
                    disk_write_bps, disk_read_iops, disk_write_iops, network, ports, tty_columns, tty_rows, opens_stdin,
                    claimed_by, claimed_until)
                VALUES (\(session.id.description), \(session.accountID.description), \(keyID.description),
                    \(session.sandboxID.description), \(session.backend), \(session.node), \(session.status.rawValue), \(session.image),
                    \(session.pull), \(session.imageDigest), \(session.stopSignal), \(session.command), \(session.environmentNames), \(sealedEnvironment), \(session.workDir), \(session.user),
                    \(labels)::text::jsonb, \(resources.cpuMillis), \(resources.memoryMB), \(resources.diskMB), \(resources.pids),
                    \(resources.timeoutMs), \(resources.idleTimeoutMs), \(resources.diskReadBps), \(resources.diskWriteBps),
                    \(resources.diskReadIops), \(resources.diskWriteIops), \(session.network.rawValue), \(ports)::text::jsonb,
                    \(session.terminal.map { Int($0.columns) }), \(session.terminal.map { Int($0.rows) }), \(session.opensStdin),
                    \(claimant), now() + make_interval(secs => \(Double(claimSeconds))))
                RETURNING \(raw: Self.columns)
                """
            )
            return try Self.one(rows)
        }
    }

    /// The session, if it exists and, when `account` is given, belongs to it.
    package func session(_ id: SessionID, account: AccountID? = nil) async throws -> Session? {
        let rows = try await database.query(
            """
            SELECT \(raw: Self.columns) FROM sessions
            WHERE id = \(id.description) AND (\(account?.description)::text IS NULL OR account_id = \(account?.description))
            """
        )
        return try rows.first.map(Session.init(row:))
    }

    /// The transactions that last changed these sessions' rows: with every change another number.
    func versions(of ids: Set<SessionID>) async throws -> [SessionID: Int64] {
        let rows = try await database.query(
            "SELECT id, xmin::text::bigint AS version FROM sessions WHERE id = ANY (\(ids.map(\.description)))")
        var versions: [SessionID: Int64] = [:]
        for row in rows {
            guard let id = SessionID(try row.decode(String.self, "id")) else { continue }
            versions[id] = try row.decode(Int64.self, "version")
        }
        return versions
    }

    func versioned(_ ids: [SessionID]) async throws -> [SessionReader.Versioned] {
        let rows = try await database.query(
            "SELECT \(raw: Self.columns), xmin::text::bigint AS version FROM sessions WHERE id = ANY (\(ids.map(\.description)))")
        return try rows.map { .init(session: try Session(row: $0), version: try $0.decode(Int64.self, "version")) }
    }

    /// Newest first, at most `limit`; `before` is the last id of the page before.
    package func list(
        account: AccountID,
        statuses: [SessionStatus],
        labels: [String: String],
        before: SessionID?,
        limit: Int
    ) async throws -> [Session] {
        let rows = try await database.query(
            """
            SELECT \(raw: Self.columns) FROM sessions
            WHERE account_id = \(account.description)
                AND (cardinality(\(statuses.map(\.rawValue))::text[]) = 0 OR status = ANY (\(statuses.map(\.rawValue))))
                AND labels @> \(try JSONText.encode(labels))::text::jsonb
                AND (\(before?.description)::text IS NULL OR id < \(before?.description))
            ORDER BY id DESC LIMIT \(limit)
            """
        )
        return try rows.map(Session.init(row:))
    }

    /// Sets labels and, `timeoutMs` from now but no later than `startedAt` + `maximumMs`, the deadline. Nil if the session has ended.
    package func patch(
        _ id: SessionID,
        labels: [String: String]?,
        timeoutMs: Int64?,
        maximumMs: Int64?
    ) async throws -> Session? {
        let encoded = try labels.map(JSONText.encode)
        let rows = try await database.query(
            """
            UPDATE sessions SET
                labels = COALESCE(\(encoded)::text::jsonb, labels),
                timeout_ms = COALESCE(
                    LEAST(\(timeoutMs)::bigint + COALESCE((extract(epoch FROM now() - started_at) * 1000)::bigint, 0),
                        COALESCE(\(maximumMs)::bigint, 9223372036854775807)),
                    timeout_ms),
                expires_at = CASE WHEN \(timeoutMs)::bigint IS NULL OR started_at IS NULL THEN expires_at
                    ELSE LEAST(now() + \(timeoutMs)::bigint * interval '1 ms',
                        started_at + \(maximumMs)::bigint * interval '1 ms') END,
                last_active_at = now()
            WHERE id = \(id.description) AND ended_at IS NULL RETURNING \(raw: Self.columns), \(raw: Self.notify)
            """
        )
        return try rows.first.map(Session.init(row:))
    }

    /// Writes what should end the session: the first writer wins, but `killed` replaces `stopped`. Nil if the session has ended.
    package func want(
        _ intent: StopIntent, error: String?, graceMs: Int64?, of id: SessionID, idempotency: IdempotencyClaim? = nil
    ) async throws -> Session? {
        guard let idempotency else { return try await Self.want(intent, error: error, graceMs: graceMs, of: id, database) }
        return try await database.withTransaction { transaction in
            guard let session = try await Self.want(intent, error: error, graceMs: graceMs, of: id, transaction) else { return nil }
            try await IdempotencyStore.record(idempotency, resource: id.description, transaction)
            return session
        }
    }

    private static func want(
        _ intent: StopIntent, error: String?, graceMs: Int64?, of id: SessionID, _ queries: some PostgresQuerying
    ) async throws -> Session? {
        let rows = try await queries.query(
            """
            UPDATE sessions SET
                stop_error = CASE WHEN stop_intent IS NULL THEN \(error) ELSE stop_error END,
                stop_grace_ms = COALESCE(stop_grace_ms, \(graceMs)),
                stop_requested_at = COALESCE(stop_requested_at, now()),
                stop_intent = CASE WHEN stop_intent IS NULL OR (stop_intent = 'stopped' AND \(intent.rawValue) = 'killed')
                    THEN \(intent.rawValue) ELSE stop_intent END,
                status = CASE WHEN status = 'running' THEN 'stopping' ELSE status END
            WHERE id = \(id.description) AND ended_at IS NULL RETURNING \(raw: Self.columns), \(raw: Self.notify)
            """
        )
        return try rows.first.map(Session.init(row:))
    }

    /// Somebody used the session at `at`: idle time counts from there.
    package func touch(_ id: SessionID) async throws {
        _ = try await database.execute(
            "UPDATE sessions SET last_active_at = now() WHERE id = \(id.description) AND ended_at IS NULL"
        )
    }

    // MARK: The driver

    /// Ids of this node's sessions that have not ended.
    package func openSessions(node: String) async throws -> [(id: SessionID, claimedBy: String?, isClaimExpired: Bool)] {
        let rows = try await database.query(
            """
            SELECT id, claimed_by, COALESCE(claimed_until < now(), true) AS expired FROM sessions
            WHERE node = \(node) AND ended_at IS NULL
            """
        )
        return try rows.compactMap { row in
            guard let id = SessionID(try row.decode(String.self, "id")) else { return nil }
            return (id, try row.decode(String?.self, "claimed_by"), try row.decode(Bool.self, "expired"))
        }
    }

    /// Takes the session over, from nobody, from `deadClaimant`, or from whoever let the claim run out. Nil if another process holds it.
    package func claim(_ id: SessionID, by claimant: String, from deadClaimant: String?) async throws -> Session? {
        let rows = try await database.query(
            """
            UPDATE sessions SET claimed_by = \(claimant), claimed_until = now() + make_interval(secs => \(Double(claimSeconds)))
            WHERE id = \(id.description) AND ended_at IS NULL
                AND (claimed_by IS NULL OR claimed_by = \(claimant) OR claimed_until < now() OR claimed_by = \(deadClaimant))
            RETURNING \(raw: Self.columns)
            """
        )
        return try rows.first.map(Session.init(row:))
    }

    /// False once another process holds the session.
    package func renewClaim(_ id: SessionID, by claimant: String) async throws -> Bool {
        try await database.execute(
            """
            UPDATE sessions SET claimed_until = now() + make_interval(secs => \(Double(claimSeconds)))
            WHERE id = \(id.description) AND claimed_by = \(claimant) AND ended_at IS NULL
            """
        ) == 1
    }

    package func setProgress(_ id: SessionID, status: SessionStatus, progress: String?, claimant: String) async throws -> Bool {
        try await !database.query(
            """
            UPDATE sessions SET status = \(status.rawValue), progress = \(progress)
            WHERE id = \(id.description) AND claimed_by = \(claimant) AND status IN ('pending', 'building', 'starting')
            RETURNING \(raw: Self.notify)
            """
        ).isEmpty
    }

    /// What the image decided: the digest that is run, and defaults the caller left open.
    package func setImage(_ session: Session, claimant: String) async throws -> Bool {
        try await database.execute(
            """
            UPDATE sessions SET image_digest = \(session.imageDigest), command = \(session.command), work_dir = \(session.workDir),
                user_name = \(session.user), stop_signal = \(session.stopSignal), status = 'starting', progress = NULL
            WHERE id = \(session.id.description) AND claimed_by = \(claimant) AND status IN ('pending', 'building', 'starting')
            """
        ) == 1
    }

    package func sealedEnvironment(_ id: SessionID) async throws -> [UInt8]? {
        try await database.query("SELECT env_sealed FROM sessions WHERE id = \(id.description)").first?.decode([UInt8]?.self, "env_sealed")
    }

    package func setBackendID(_ backendID: String, of sandbox: SandboxID) async throws {
        _ = try await database.execute("UPDATE sandboxes SET backend_id = \(backendID) WHERE id = \(sandbox.description)")
    }

    /// Stores the agent's boot id if there is none yet, and returns the one that stands.
    package func settleBootID(_ bootID: [UInt8], of sandbox: SandboxID) async throws -> [UInt8] {
        let rows = try await database.query(
            """
            UPDATE sandboxes SET boot_id = COALESCE(boot_id, \(bootID)) WHERE id = \(sandbox.description) RETURNING boot_id
            """
        )
        return try Self.first(rows).decode([UInt8].self, "boot_id")
    }

    package func bootID(of sandbox: SandboxID) async throws -> [UInt8]? {
        try await database.query("SELECT boot_id FROM sandboxes WHERE id = \(sandbox.description)").first?.decode([UInt8]?.self, "boot_id")
    }

    /// Main runs. Nil when the claim is lost or the session ended meanwhile.
    package func setRunning(_ id: SessionID, ports: [Session.Port], elapsedMicroseconds: Int64, claimant: String) async throws -> Session? {
        let rows = try await database.query(
            """
            UPDATE sessions SET status = CASE WHEN stop_intent IS NULL THEN 'running' ELSE 'stopping' END, progress = NULL,
                started_at = now() - \(elapsedMicroseconds)::bigint * interval '1 us',
                expires_at = now() - \(elapsedMicroseconds)::bigint * interval '1 us' + timeout_ms * interval '1 ms',
                last_active_at = now(), env_sealed = NULL, ports = \(try JSONText.encode(ports.map(StoredPort.init)))::text::jsonb
            WHERE id = \(id.description) AND claimed_by = \(claimant) AND status = 'starting'
            RETURNING \(raw: Self.columns), \(raw: Self.notify)
            """
        )
        return try rows.first.map(Session.init(row:))
    }

    package func setStopSignaled(_ id: SessionID, claimant: String) async throws {
        _ = try await database.execute(
            """
            UPDATE sessions SET stop_signaled_at = COALESCE(stop_signaled_at, now())
            WHERE id = \(id.description) AND claimed_by = \(claimant)
            """
        )
    }

    /// The terminal transition, with what it costs. Nil when the session had ended or is another process's by now: then nothing was changed.
    ///
    /// - Parameter lowerBound: the last moment at which the sandbox is known to have run; the end is not put before it.
    package func finish(
        _ id: SessionID,
        end: SessionEnd,
        lowerBound: Timestamp?,
        claimant: String
    ) async throws -> Session? {
        let report = end.report
        let isFailed = end.reason.status == .failed
        // An agent may say anything; PostgreSQL's intervals end somewhere.
        let elapsed = report.map { Int64(min($0.elapsedMicroseconds, 100 * 365 * 86_400 * 1_000_000)) }
        return try await database.withTransaction { transaction -> Session? in
            let rows = try await transaction.query(
                """
                WITH moment AS (
                    SELECT s.id, s.started_at, CASE WHEN started_at IS NULL THEN now() ELSE LEAST(now(), GREATEST(
                        started_at + \(elapsed)::bigint * interval '1 us',
                        to_timestamp(\(lowerBound?.unixMicroseconds)::bigint / 1000000.0), started_at)) END AS ended,
                        \(UsageStore.priceOfSession) AS price
                    FROM sessions s WHERE id = \(id.description) FOR UPDATE
                ), measured AS (
                    SELECT id, ended, price, GREATEST(0, COALESCE((extract(epoch FROM ended - started_at) * 1000)::bigint, 0)) AS duration
                    FROM moment
                )
                UPDATE sessions SET status = \(end.reason.status.rawValue), reason = \(end.reason.rawValue), error = \(end.error),
                    exit_code = \(end.exitCode.map(Int.init)), signal = \(end.signal), progress = NULL, env_sealed = NULL,
                    ended_at = measured.ended, duration_ms = measured.duration,
                    cost_micros = CASE WHEN \(isFailed) THEN 0
                        ELSE session_cost_micros(measured.price, cpu_millis, memory_mb, measured.duration) END,
                    cpu_ms = LEAST(\(report.map { Int64(clamping: $0.cpuMicroseconds / 1000) } ?? 0)::bigint,
                        measured.duration * \(Self.mostCPUs)),
                    memory_peak_mb = \(report.map { Int(Int32(clamping: $0.memoryPeakBytes >> 20)) } ?? 0),
                    oom_kills = \(report.map { Int(Int32(clamping: $0.oomKills)) } ?? (end.reason == .oomKilled ? 1 : 0)),
                    stdout_bytes = \(report.map { Int64(clamping: $0.stdoutBytes) } ?? 0),
                    stderr_bytes = \(report.map { Int64(clamping: $0.stderrBytes) } ?? 0),
                    claimed_by = NULL, claimed_until = NULL
                FROM measured
                WHERE sessions.id = measured.id AND ended_at IS NULL AND claimed_by = \(claimant)
                RETURNING \(raw: Self.columns), \(raw: Self.notify)
                """
            )
            guard let row = rows.first else { return nil }
            let session = try Session(row: row)
            try await UsageStore.book(session, transaction)
            try await WebhookStore.emit(.sessionEnded, account: session.accountID, WebhookEvent.EndedSession(session), transaction)
            return session
        }
    }

    // MARK: Sandboxes

    package func setDestroyed(_ sandbox: SandboxID) async throws {
        _ = try await database.execute(
            "UPDATE sandboxes SET destroyed_at = now() WHERE id = \(sandbox.description) AND destroyed_at IS NULL"
        )
    }

    /// Sandboxes of this node whose session has ended and which have not been seen destroyed.
    package func leftoverSandboxes(backend: String, node: String) async throws -> [SandboxID] {
        let rows = try await database.query(
            """
            SELECT b.id FROM sandboxes b JOIN sessions s ON s.sandbox_id = b.id
            WHERE b.backend = \(backend) AND b.node = \(node) AND b.destroyed_at IS NULL AND s.ended_at IS NOT NULL
            """
        )
        return try rows.compactMap { SandboxID(try $0.decode(String.self, "id")) }
    }

    /// Of these sandboxes, the ones no session that still lives points at.
    package func unwanted(among sandboxes: [SandboxID]) async throws -> [SandboxID] {
        let rows = try await database.query(
            """
            SELECT wanted.id FROM unnest(\(sandboxes.map(\.description))::text[]) AS wanted(id)
            WHERE NOT EXISTS (SELECT FROM sessions s WHERE s.sandbox_id = wanted.id AND s.ended_at IS NULL)
            """
        )
        return try rows.compactMap { SandboxID(try $0.decode(String.self, "id")) }
    }

    /// As a column of what a change returns: tells every process of it when it is committed. A hint, re-reading is the truth.
    private static let notify = "pg_notify('\(channel)', sessions.id)"

    private static func first(_ rows: [PostgresRow]) throws -> PostgresRow {
        guard let row = rows.first else { throw ExecboxError(.internal, "internal error", privateDetail: "no row returned") }
        return row
    }

    private static func one(_ rows: [PostgresRow]) throws -> Session { try Session(row: first(rows)) }
}
