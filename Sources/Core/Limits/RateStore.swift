import ExecboxModel
import ExecboxPostgres

/// All SQL on token buckets.
package struct RateStore: Sendable {
    private let database: PostgresPool

    package init(database: PostgresPool) { self.database = database }

    /// Takes a lease of each bucket, or what is left of it in whole tokens, in one round trip. A bucket nobody has used is full.
    func lease(_ limits: [RateLimit]) async throws -> [RateBuckets.Grant] {
        // Always in the same order, so that two replicas do not wait for each other in a circle.
        let wanted: [SQL] = limits.sorted { $0.subject < $1.subject }.map { limit in
            "(\(limit.subject)::text, \(Double(limit.capacity))::float8, \(limit.rate)::float8, \(Double(limit.lease))::float8)"
        }
        let rows = try await database.query(
            """
            INSERT INTO rate_buckets AS b (subject, capacity, rate, tokens, granted, refilled_at)
            SELECT subject, capacity, rate, capacity - lease, lease, clock_timestamp()
            FROM (VALUES \(SQL.joined(wanted, separator: ", "))) wanted (subject, capacity, rate, lease)
            ON CONFLICT (subject) DO UPDATE SET capacity = EXCLUDED.capacity, rate = EXCLUDED.rate, (tokens, granted, refilled_at) = (
                SELECT available - LEAST(EXCLUDED.granted, floor(available)), LEAST(EXCLUDED.granted, floor(available)), at
                FROM (SELECT LEAST(EXCLUDED.capacity,
                            b.tokens + extract(epoch FROM clock.at - b.refilled_at)::float8 * EXCLUDED.rate) AS available, clock.at
                    FROM (SELECT GREATEST(clock_timestamp(), b.refilled_at) AS at OFFSET 0) clock OFFSET 0) filled)
            RETURNING subject, granted, tokens
            """
        )
        return try rows.map { row in
            RateBuckets.Grant(
                subject: try row.decode(String.self, "subject"), granted: Int(try row.decode(Double.self, "granted")),
                tokens: try row.decode(Double.self, "tokens"))
        }
    }

    /// Forgets buckets that are full again.
    package func sweep() async throws {
        _ = try await database.execute(
            // Those in use are left alone: a lease locks several in an order of its own.
            """
            DELETE FROM rate_buckets WHERE subject IN (
                SELECT subject FROM rate_buckets WHERE refilled_at + capacity / rate * interval '1 s' < now() - interval '1 minute'
                FOR UPDATE SKIP LOCKED)
            """
        )
    }
}
