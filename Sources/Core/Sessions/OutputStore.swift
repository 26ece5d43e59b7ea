import ExecboxModel
import ExecboxPostgres
import ExecboxWire

/// All SQL on recorded output.
package struct OutputStore: Sendable {
    /// Where a recording stands.
    package struct Position: Equatable, Sendable {
        package var epoch: Int64
        package var recorded: Int64
    }

    /// What a recorder wants written: it counts only while `epoch` is the highest and `expected` is what the row says.
    struct Append: Sendable {
        var session: SessionID
        var epoch: Int64
        var expected: Int64
        var chunk: OutputChunk
    }

    private let database: PostgresPool

    package init(database: PostgresPool) { self.database = database }

    /// Makes the caller the session's recorder: every earlier one can write no more.
    package func beginEpoch(_ id: SessionID) async throws -> Position {
        let rows = try await database.query(
            "UPDATE recordings SET epoch = epoch + 1 WHERE session_id = \(id.description) RETURNING epoch, recorded"
        )
        guard let row = rows.first else { throw ExecboxError(.internal, "internal error", privateDetail: "no recording for \(id)") }
        return Position(epoch: try row.decode(Int64.self, "epoch"), recorded: try row.decode(Int64.self, "recorded"))
    }

    package func position(_ id: SessionID) async throws -> Position? {
        let rows = try await database.query("SELECT epoch, recorded FROM recordings WHERE session_id = \(id.description)")
        return try rows.first.map { Position(epoch: try $0.decode(Int64.self, "epoch"), recorded: try $0.decode(Int64.self, "recorded")) }
    }

    /// Writes chunks of any number of sessions in one transaction; for each, whether it was taken.
    func append(_ appends: [Append]) async throws -> [Bool] {
        // One statement commits by itself: a process that is stopped in between holds no lock.
        if appends.count == 1, let only = appends.first { return [try await database.execute(Self.statement(only)) == 1] }
        return try await database.withTransaction { transaction in
            var taken: [Bool] = []
            for append in appends { taken.append(try await transaction.execute(Self.statement(append)) == 1) }
            return taken
        }
    }

    private static func statement(_ append: Append) -> SQL {
        """
        WITH moved AS (
            UPDATE recordings SET recorded = \(append.chunk.end)
            WHERE session_id = \(append.session.description) AND epoch = \(append.epoch) AND recorded = \(append.expected)
            RETURNING session_id
        )
        INSERT INTO output_chunks (day, session_id, start, payload_bytes, frames)
        SELECT (now() AT TIME ZONE 'UTC')::date, session_id, \(append.chunk.start), \(append.chunk.payloadBytes), \(append.chunk.frames)
        FROM moved
        """
    }

    /// Drops tail chunks that end before the window that is kept; the head stays.
    func trimTail(_ id: SessionID, keepingFrom offset: Int64, headBytes: Int64) async throws {
        _ = try await database.execute(
            """
            DELETE FROM output_chunks
            WHERE session_id = \(id.description) AND start >= \(headBytes) AND start + payload_bytes <= \(offset)
            """
        )
    }

    /// Chunks that hold bytes at or after `offset`, in order, at most about `limit` payload bytes (one chunk at least if there is any).
    package func chunks(_ id: SessionID, from offset: Int64, limit: Int) async throws -> [OutputChunk] {
        let rows = try await database.query(
            """
            SELECT start, payload_bytes, frames, (extract(epoch FROM recorded_at) * 1000000)::bigint AS at FROM (
                SELECT *, sum(payload_bytes) OVER (ORDER BY start) - payload_bytes AS before
                FROM (SELECT * FROM output_chunks WHERE session_id = \(id.description) AND start + payload_bytes > \(offset)
                    ORDER BY start LIMIT 512) AS candidates
            ) AS counted WHERE before < \(limit) ORDER BY start
            """
        )
        return try rows.map { row in
            OutputChunk(
                start: try row.decode(Int64.self, "start"),
                payloadBytes: try row.decode(Int.self, "payload_bytes"),
                frames: try row.decode([UInt8].self, "frames"),
                recordedAt: Timestamp(unixMicroseconds: try row.decode(Int64.self, "at"))
            )
        }
    }

    /// Payload bytes recorded in all: what is missing of `recorded` has been lost or dropped.
    package func keptBytes(_ id: SessionID) async throws -> Int64 {
        try await database.query(
            "SELECT COALESCE(sum(payload_bytes), 0)::bigint AS kept FROM output_chunks WHERE session_id = \(id.description)"
        ).first?.decode(Int64.self, "kept") ?? 0
    }

    // MARK: Partitions

    /// Makes the partitions of today and tomorrow, and drops whole days that no session needs any more.
    package func maintainPartitions(retentionDays: Int) async throws {
        let days = try await database.query(
            """
            SELECT to_char(day, 'YYYYMMDD') AS name, day::text AS first, (day + 1)::text AS next
            FROM unnest(ARRAY[(now() AT TIME ZONE 'UTC')::date, (now() AT TIME ZONE 'UTC')::date + 1]) AS days(day)
            WHERE to_regclass('output_chunks_' || to_char(day, 'YYYYMMDD')) IS NULL
                AND NOT EXISTS (SELECT FROM output_chunks_default d WHERE d.day = days.day)
            """
        )
        for row in days {
            let name = try row.decode(String.self, "name")
            // All three come out of to_char and date arithmetic above.
            _ = try await database.execute(
                """
                CREATE TABLE IF NOT EXISTS output_chunks_\(raw: name) PARTITION OF output_chunks
                FOR VALUES FROM ('\(raw: try row.decode(String.self, "first"))') TO ('\(raw: try row.decode(String.self, "next"))')
                """
            )
        }
        let old = try await database.query(
            """
            SELECT relname::text AS name FROM pg_class JOIN pg_inherits ON inhrelid = pg_class.oid
            WHERE inhparent = 'output_chunks'::regclass AND relname ~ '^output_chunks_[0-9]{8}$'
                AND relname < 'output_chunks_' || to_char((now() AT TIME ZONE 'UTC')::date - \(retentionDays)::integer, 'YYYYMMDD')
            """
        )
        for row in old {
            let name = try row.decode(String.self, "name")
            let needed = try await database.query(
                """
                SELECT EXISTS (SELECT FROM \(raw: name) c JOIN sessions s ON s.id = c.session_id
                    WHERE s.ended_at IS NULL OR s.ended_at > now() - make_interval(days => \(retentionDays)::integer)) AS needed
                """
            ).first?.decode(Bool.self, "needed")
            if needed == false { _ = try await database.execute("DROP TABLE \(raw: name)") }
        }
    }
}
