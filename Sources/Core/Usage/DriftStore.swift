import ExecboxPostgres

/// Compares what is written down more than once.
package struct DriftStore: Sendable {
    private let database: PostgresPool

    package init(database: PostgresPool) { self.database = database }

    /// What must be equal at every moment, and is compared here: a difference is a bug, or somebody's hand in the database.
    package func checks() async throws -> [DriftCheck] {
        let checks: [(name: String, query: SQL)] = [
            (
                "ended sessions without exactly one ledger entry of their cost",
                """
                SELECT s.id FROM sessions s LEFT JOIN ledger l ON l.session_id = s.id
                WHERE s.ended_at IS NOT NULL AND l.cost_micros IS DISTINCT FROM COALESCE(s.cost_micros, 0)
                """
            ),
            (
                "ledger entries of sessions that have not ended",
                "SELECT s.id FROM ledger l JOIN sessions s ON s.id = l.session_id WHERE s.ended_at IS NULL"
            ),
            (
                "days of accounts whose sum is not their ledger's",
                """
                SELECT COALESCE(u.account_id, l.account_id) || ' ' || COALESCE(u.day, l.day) AS id
                FROM (SELECT account_id, day, executions, cost_micros FROM usage_days WHERE kind = 'account') u
                    FULL JOIN (SELECT account_id, day, count(*) AS executions, sum(cost_micros) AS cost_micros FROM ledger GROUP BY 1, 2) l
                        ON l.account_id = u.account_id AND l.day = u.day
                WHERE (u.executions, u.cost_micros) IS DISTINCT FROM (l.executions, l.cost_micros)
                """
            ),
            (
                "accounts whose keys, hours and days do not add up to the same",
                """
                SELECT account_id AS id FROM (
                    SELECT account_id, kind, sum(executions) AS executions, sum(cost_micros) AS cost_micros FROM usage_days
                        WHERE kind <> 'label' GROUP BY 1, 2
                    UNION ALL SELECT account_id, 'hour ' || kind, sum(executions), sum(cost_micros) FROM usage_hours
                        WHERE kind <> 'label' GROUP BY 1, 2) sums
                GROUP BY account_id HAVING count(DISTINCT (executions, cost_micros)) > 1
                """
            ),
            (
                "sandboxes not destroyed an hour after their session ended",
                """
                SELECT b.id FROM sandboxes b JOIN sessions s ON s.sandbox_id = b.id
                WHERE b.destroyed_at IS NULL AND s.ended_at < now() - interval '1 hour'
                """
            ),
            (
                "open sessions that no server has claimed for five minutes",
                "SELECT id FROM sessions WHERE ended_at IS NULL AND COALESCE(claimed_until, created_at) < now() - interval '5 minutes'"
            ),
        ]
        return try await database.withTransaction(level: .repeatableRead, readOnly: true) { transaction in
            var results: [DriftCheck] = []
            for check in checks {
                let rows = try await transaction.query(
                    "SELECT count(*)::int AS count, (array_agg(id ORDER BY id))[1:10] AS examples FROM (\(check.query)) differences")
                guard let row = rows.first else { continue }
                results.append(
                    DriftCheck(
                        name: check.name, differences: try row.decode(Int.self, "count"),
                        examples: try row.decode([String]?.self, "examples") ?? []))
            }
            return results
        }
    }
}
