import ExecboxModel
import ExecboxPostgres

/// All SQL on what quotas count and what hosts carry.
package struct AdmissionStore: Sendable {
    private let database: PostgresPool

    package init(database: PostgresPool) { self.database = database }

    /// Says what this host can carry from now on.
    package func setCapacity(_ capacity: HostLoad.Amount, of node: String) async throws {
        _ = try await database.execute(
            """
            INSERT INTO hosts (node, sessions, memory_mb, cpu_millis)
            VALUES (\(node), \(capacity.sessions), \(capacity.memoryMB), \(capacity.cpuMillis))
            ON CONFLICT (node) DO UPDATE SET sessions = EXCLUDED.sessions, memory_mb = EXCLUDED.memory_mb,
                cpu_millis = EXCLUDED.cpu_millis, updated_at = now()
            """
        )
    }

    /// Locks account and host until the transaction ends, and reads what a new session is admitted by.
    ///
    /// Two statements: each sees the rows as they were when it began, so nothing may be counted by the one that waits for the locks.
    static func admission(
        account id: AccountID, key keyID: KeyID, node: String, _ transaction: PostgresTransaction
    ) async throws -> Admission {
        _ = try await transaction.query(
            """
            WITH a AS MATERIALIZED (SELECT 1 FROM accounts WHERE id = \(id.description) FOR NO KEY UPDATE),
                h AS MATERIALIZED (SELECT 1 FROM hosts WHERE node = \(node) FOR NO KEY UPDATE)
            SELECT (SELECT count(*) FROM a) AS accounts, (SELECT count(*) FROM h) AS hosts
            """
        )
        guard let account = try await AccountStore.account(id, transaction),
            let key = try await KeyStore.key(keyID, of: id, transaction)
        else {
            // Deleted between the check of the key and now.
            throw Authenticator.unauthenticated
        }
        // Without a limit nobody counts a busy day's sessions.
        let isDayCounted = account.sessionsPerDay != nil || key.sessionsPerDay != nil
        let counts = try await transaction.queryOne(
            """
            WITH day AS (SELECT date_trunc('day', now() AT TIME ZONE \(account.limits.timezone)) AS start),
                bounds AS (SELECT start AT TIME ZONE \(account.limits.timezone) AS start,
                    (start + interval '1 day') AT TIME ZONE \(account.limits.timezone) AS finish FROM day),
                unended AS (SELECT count(*) AS account, count(*) FILTER (WHERE key_id = \(keyID.description)) AS key
                    FROM sessions WHERE account_id = \(id.description) AND ended_at IS NULL),
                today AS (SELECT count(*) AS account, count(*) FILTER (WHERE key_id = \(keyID.description)) AS key
                    FROM sessions WHERE \(isDayCounted) AND account_id = \(id.description) AND status <> 'failed'
                        AND created_at >= (SELECT start FROM bounds)),
                host AS (SELECT count(*) AS sessions, coalesce(sum(memory_mb), 0) AS memory_mb,
                        coalesce(sum(cpu_millis), 0) AS cpu_millis
                    FROM sessions WHERE node = \(node) AND ended_at IS NULL)
            SELECT unended.account::int AS account_open, unended.key::int AS key_open, today.account::int AS account_today,
                today.key::int AS key_today, ceil(extract(epoch FROM bounds.finish - now()))::int AS seconds_left,
                host.sessions::int AS taken_sessions, host.memory_mb::int AS taken_memory_mb, host.cpu_millis::int AS taken_cpu_millis,
                hosts.sessions AS sessions, hosts.memory_mb AS memory_mb, hosts.cpu_millis AS cpu_millis
            FROM unended, today, bounds, host LEFT JOIN hosts ON hosts.node = \(node)
            """
        )
        let month = account.limits.monthlyCostMicros == nil ? nil : try await UsageStore.month(of: id, transaction)
        var host: HostLoad?
        if let sessions = try counts.decode(Int?.self, "sessions") {
            host = HostLoad(
                capacity: .init(
                    sessions: sessions, memoryMB: try counts.decode(Int.self, "memory_mb"),
                    cpuMillis: try counts.decode(Int.self, "cpu_millis")),
                taken: .init(
                    sessions: try counts.decode(Int.self, "taken_sessions"), memoryMB: try counts.decode(Int.self, "taken_memory_mb"),
                    cpuMillis: try counts.decode(Int.self, "taken_cpu_millis")))
        }
        return Admission(
            account: account, key: key,
            ofAccount: .init(open: try counts.decode(Int.self, "account_open"), today: try counts.decode(Int.self, "account_today")),
            ofKey: .init(open: try counts.decode(Int.self, "key_open"), today: try counts.decode(Int.self, "key_today")),
            secondsLeftToday: try counts.decode(Int.self, "seconds_left"), month: month, host: host)
    }
}
