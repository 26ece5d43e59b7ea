import ExecboxModel
import ExecboxPostgres

/// All SQL on the ledger and its sums. Every report is one statement, so that a session which ends meanwhile is in it once.
package struct UsageStore: Sendable {
    private let database: PostgresPool

    package init(database: PostgresPool) { self.database = database }

    // MARK: Booking

    /// The price in force when the session `s` started.
    static let priceOfSession: SQL = """
        (SELECT prices FROM prices WHERE valid_from <= COALESCE(s.started_at, now()) ORDER BY valid_from DESC LIMIT 1)
        """

    /// Books an ended session, in the transaction that ends it: its ledger entry, and its part of every sum.
    ///
    /// Sums are always locked in the same order, so that sessions with labels in common do not wait for each other in a circle.
    static func book(_ session: Session, _ transaction: PostgresTransaction) async throws {
        let id = session.id
        _ = try await transaction.execute(
            """
            INSERT INTO ledger (session_id, account_id, key_id, price_id, day, cost_micros)
            SELECT s.id, s.account_id, s.key_id, (\(priceOfSession)).id, (s.ended_at AT TIME ZONE a.timezone)::date, s.cost_micros
            FROM sessions s JOIN accounts a ON a.id = s.account_id WHERE s.id = \(id.description)
            """
        )
        for sums in RollUp.allCases {
            _ = try await transaction.execute(
                """
                INSERT INTO \(raw: sums.table) AS u
                    (account_id, kind, subject, \(raw: sums.column), executions, errors, duration_ms, cpu_ms, cost_micros)
                SELECT l.account_id, subjects.kind, subjects.subject, \(raw: sums.ofSession), 1, (s.status = 'failed')::int, s.duration_ms,
                    s.cpu_ms, l.cost_micros
                FROM ledger l JOIN sessions s ON s.id = l.session_id,
                    LATERAL (SELECT 'account' AS kind, '' AS subject UNION ALL SELECT 'key', s.key_id
                        UNION ALL SELECT 'label', key || '=' || value FROM jsonb_each_text(s.labels)) subjects
                WHERE l.session_id = \(id.description) ORDER BY subjects.kind, subjects.subject
                ON CONFLICT (account_id, kind, subject, \(raw: sums.column)) DO UPDATE SET executions = u.executions + EXCLUDED.executions,
                    errors = u.errors + EXCLUDED.errors, duration_ms = u.duration_ms + EXCLUDED.duration_ms,
                    cpu_ms = u.cpu_ms + EXCLUDED.cpu_ms, cost_micros = u.cost_micros + EXCLUDED.cost_micros
                """
            )
        }
        try await noteAlerts(session.accountID, transaction)
    }

    /// Sums over ended sessions, as they are kept.
    private enum RollUp: CaseIterable {
        case hours, days

        var table: String { self == .hours ? "usage_hours" : "usage_days" }
        var column: String { self == .hours ? "hour" : "day" }
        /// Where the session `s` with its ledger entry `l` belongs.
        var ofSession: String { self == .hours ? "date_trunc('hour', s.ended_at, 'UTC')" : "l.day" }
        /// The one that holds this moment, for the account `a`.
        var present: String { self == .hours ? "date_trunc('hour', now(), 'UTC')" : "(now() AT TIME ZONE a.timezone)::date" }
        var step: String { self == .hours ? "interval '1 hour'" : "1" }
        func text(_ period: String) -> String {
            self == .hours
                ? "to_char(\(period) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')" : "to_char(\(period), 'YYYY-MM-DD')"
        }
    }

    // MARK: Reports

    /// Sessions that run, as a sub-query: with what they have used and cost up to now.
    private static func running(_ account: AccountID, _ subject: UsageSubject) throws -> SQL {
        """
        (SELECT s.*, (extract(epoch FROM now() - s.started_at) * 1000)::bigint AS so_far,
                session_cost_micros(\(priceOfSession), s.cpu_millis, s.memory_mb, (extract(epoch FROM now() - s.started_at) * 1000)::bigint)
                    AS cost_so_far
            FROM sessions s WHERE account_id = \(account.description) AND ended_at IS NULL AND started_at IS NOT NULL
                AND \(try condition(subject)))
        """
    }

    private static func condition(_ subject: UsageSubject) throws -> SQL {
        switch subject {
        case .account: "true"
        case .key(let id): "s.key_id = \(id.description)"
        case .label(let name, let value): "s.labels @> \(try JSONText.encode([name: value]))::text::jsonb"
        }
    }

    /// The last `count` days, today first, with days on which nothing happened.
    package func days(_ count: Int, of account: AccountID, _ subject: UsageSubject) async throws -> [UsageSum] {
        try await sums(.days, count, of: account, subject)
    }

    /// The last 24 hours, the present one first, with hours in which nothing happened.
    package func hours(of account: AccountID, _ subject: UsageSubject) async throws -> [UsageSum] {
        try await sums(.hours, 24, of: account, subject)
    }

    private func sums(_ sums: RollUp, _ count: Int, of account: AccountID, _ subject: UsageSubject) async throws -> [UsageSum] {
        let rows = try await database.query(
            """
            WITH present AS (SELECT \(raw: sums.present) AS period FROM accounts a WHERE a.id = \(account.description)),
                running AS (SELECT count(*) AS executions, COALESCE(sum(so_far), 0) AS duration_ms, COALESCE(sum(cost_so_far), 0) AS cost_micros
                    FROM \(try Self.running(account, subject)) s)
            SELECT \(raw: sums.text("periods.period")) AS period,
                (COALESCE(u.executions, 0) + COALESCE(running.executions, 0))::bigint AS executions, COALESCE(u.errors, 0) AS errors,
                (COALESCE(u.duration_ms, 0) + COALESCE(running.duration_ms, 0))::bigint AS duration_ms, COALESCE(u.cpu_ms, 0) AS cpu_ms,
                (COALESCE(u.cost_micros, 0) + COALESCE(running.cost_micros, 0))::bigint AS cost_micros
            FROM present
                CROSS JOIN LATERAL (SELECT present.period - n * \(raw: sums.step) AS period FROM generate_series(0, \(count - 1)::int) n) periods
                LEFT JOIN running ON periods.period = present.period
                LEFT JOIN \(raw: sums.table) u ON u.account_id = \(account.description) AND u.kind = \(subject.kind)
                    AND u.subject = \(subject.name) AND u.\(raw: sums.column) = periods.period
            ORDER BY periods.period DESC
            """
        )
        return try rows.map(UsageSum.init(row:))
    }

    package func now(of account: AccountID) async throws -> UsageNow {
        let row = try await database.queryOne(
            """
            SELECT (SELECT count(*) FROM sessions s WHERE s.account_id = a.id AND status <> 'failed'
                        AND created_at >= date_trunc('day', now() AT TIME ZONE a.timezone) AT TIME ZONE a.timezone)::int AS today,
                (SELECT count(*) FROM sessions s WHERE s.account_id = a.id AND ended_at IS NULL)::int AS active,
                \(try Self.monthCost(account)) AS month_cost_micros
            FROM accounts a WHERE a.id = \(account.description)
            """
        )
        return UsageNow(
            sessionsToday: try row.decode(Int.self, "today"), activeSessions: try row.decode(Int.self, "active"),
            monthCostMicros: try row.decode(Int64.self, "month_cost_micros"))
    }

    /// What the account `a` has cost since its month began, as an expression.
    static func monthCost(_ account: AccountID) throws -> SQL {
        """
        ((SELECT COALESCE(sum(u.cost_micros), 0) FROM usage_days u WHERE u.account_id = \(account.description) AND kind = 'account'
                AND subject = '' AND day >= date_trunc('month', now() AT TIME ZONE a.timezone)::date)
            + (SELECT COALESCE(sum(cost_so_far), 0) FROM \(try running(account, .account)) s))::bigint
        """
    }

    /// Of a new session's account: what it has cost this month, and how many seconds the month still has.
    static func month(of account: AccountID, _ transaction: PostgresTransaction) async throws -> Admission.Month {
        let row = try await transaction.queryOne(
            """
            SELECT \(try monthCost(account)) AS cost, ceil(extract(epoch FROM
                (date_trunc('month', now() AT TIME ZONE a.timezone) + interval '1 month') AT TIME ZONE a.timezone - now()))::int AS seconds_left
            FROM accounts a WHERE a.id = \(account.description)
            """
        )
        return Admission.Month(costMicros: try row.decode(Int64.self, "cost"), secondsLeft: try row.decode(Int.self, "seconds_left"))
    }

    // MARK: Budgets

    /// Notes which parts of its monthly cost limit the account has reached by now. Each is noted once a month, and again for another limit.
    ///
    /// Webhooks are told of it.
    static func noteAlerts(_ account: AccountID, _ transaction: PostgresTransaction) async throws {
        let rows = try await transaction.query(
            """
            INSERT INTO budget_alerts (account_id, month, percent, cost_micros, limit_micros)
            SELECT a.id, date_trunc('month', now() AT TIME ZONE a.timezone)::date, percent, cost, a.monthly_cost_limit_micros
            FROM accounts a, LATERAL (SELECT \(try monthCost(account)) AS cost) month, unnest(ARRAY[a.alert_threshold, 90, 100]) percent
            WHERE a.id = \(account.description) AND cost >= a.monthly_cost_limit_micros::numeric * percent / 100
            GROUP BY a.id, percent, cost ORDER BY percent
            ON CONFLICT DO NOTHING RETURNING percent, cost_micros, limit_micros, to_char(month, 'YYYY-MM-DD') AS month
            """
        )
        for row in rows {
            let data = WebhookEvent.Threshold(
                percent: try row.decode(Int.self, "percent"), costMicros: try row.decode(Int64.self, "cost_micros"),
                limitMicros: try row.decode(Int64.self, "limit_micros"), month: try row.decode(String.self, "month"))
            try await WebhookStore.emit(.quotaThreshold, account: account, data, transaction)
        }
    }

    /// Accounts with a monthly cost limit and sessions on this host that have not ended.
    package func budgetedAccounts(node: String) async throws -> [AccountID] {
        let rows = try await database.query(
            """
            SELECT id FROM accounts a WHERE monthly_cost_limit_micros IS NOT NULL AND EXISTS (
                SELECT FROM sessions s WHERE s.node = \(node) AND s.account_id = a.id AND s.ended_at IS NULL)
            """
        )
        return try rows.compactMap { AccountID(try $0.decode(String.self, "id")) }
    }

    /// Notes what the account has reached of its monthly cost limit.
    ///
    /// - Returns: its sessions that have to end for it, and the limit; nil while there is room.
    package func checkBudget(of account: AccountID) async throws -> (sessions: [SessionID], limitMicros: Int64)? {
        try await database.withTransaction { transaction in
            try await Self.noteAlerts(account, transaction)
            let rows = try await transaction.query(
                """
                SELECT s.id, a.monthly_cost_limit_micros AS limit_micros FROM sessions s JOIN accounts a ON a.id = s.account_id
                WHERE a.id = \(account.description) AND s.ended_at IS NULL AND s.stop_intent IS NULL
                    AND \(try Self.monthCost(account)) >= a.monthly_cost_limit_micros
                """
            )
            guard let limit = try rows.first?.decode(Int64.self, "limit_micros") else { return nil }
            return (try rows.compactMap { SessionID(try $0.decode(String.self, "id")) }, limit)
        }
    }

    // MARK: Export

    private static let chargeColumns: SQL = """
        s.id, s.key_id, s.image, s.status, s.reason, s.labels::text AS labels, s.cpu_millis, s.memory_mb,
        (extract(epoch FROM s.started_at) * 1000000)::bigint AS started_at, (extract(epoch FROM s.ended_at) * 1000000)::bigint AS ended_at
        """

    /// Sessions that have not ended, with what they have cost so far, by id.
    package func unbooked(of account: AccountID, _ subject: UsageSubject) async throws -> [SessionCharge] {
        let rows = try await database.query(
            """
            SELECT \(Self.chargeColumns), to_char((now() AT TIME ZONE a.timezone)::date, 'YYYY-MM-DD') AS day,
                COALESCE((extract(epoch FROM now() - s.started_at) * 1000)::bigint, 0) AS duration_ms, 0::bigint AS cpu_ms,
                CASE WHEN s.started_at IS NULL THEN 0 ELSE session_cost_micros(\(Self.priceOfSession), s.cpu_millis, s.memory_mb,
                    (extract(epoch FROM now() - s.started_at) * 1000)::bigint) END AS cost_micros
            FROM sessions s JOIN accounts a ON a.id = s.account_id
            WHERE s.account_id = \(account.description) AND s.ended_at IS NULL AND \(try Self.condition(subject)) ORDER BY s.id
            """
        )
        return try rows.map(SessionCharge.init(row:))
    }

    /// Booked sessions of the last `days` days by day and id, at most `limit`; `after` is the last one of the page before.
    package func charges(
        of account: AccountID, _ subject: UsageSubject, days: Int, after: SessionCharge?, limit: Int
    ) async throws -> [SessionCharge] {
        let rows = try await database.query(
            """
            SELECT \(Self.chargeColumns), to_char(l.day, 'YYYY-MM-DD') AS day, s.duration_ms, s.cpu_ms, l.cost_micros
            FROM ledger l JOIN sessions s ON s.id = l.session_id JOIN accounts a ON a.id = l.account_id
            WHERE l.account_id = \(account.description) AND l.day > (now() AT TIME ZONE a.timezone)::date - \(days)::int
                AND (\(after?.day)::text IS NULL OR (l.day, l.session_id) > (\(after?.day)::date, \(after?.sessionID.description)))
                AND \(try Self.condition(subject))
            ORDER BY l.day, l.session_id LIMIT \(limit)
            """
        )
        return try rows.map(SessionCharge.init(row:))
    }
}

extension UsageSum {
    fileprivate init(row: PostgresRow) throws {
        period = try row.decode(String.self, "period")
        executions = try row.decode(Int64.self, "executions")
        errors = try row.decode(Int64.self, "errors")
        durationMs = try row.decode(Int64.self, "duration_ms")
        cpuMs = try row.decode(Int64.self, "cpu_ms")
        costMicros = try row.decode(Int64.self, "cost_micros")
    }
}

extension SessionCharge {
    fileprivate init(row: PostgresRow) throws {
        guard let session = SessionID(try row.decode(String.self, "id")), let key = KeyID(try row.decode(String.self, "key_id")),
            let status = SessionStatus(rawValue: try row.decode(String.self, "status"))
        else {
            throw ExecboxError(.internal, "internal error", privateDetail: "a session's row of unknown form")
        }
        sessionID = session
        keyID = key
        image = try row.decode(String.self, "image")
        self.status = status
        reason = try row.decode(String?.self, "reason").flatMap(EndReason.init(rawValue:))
        labels = try JSONText.decode([String: String].self, try row.decode(String.self, "labels"))
        startedAt = try row.time("started_at")
        endedAt = try row.time("ended_at")
        day = try row.decode(String.self, "day")
        cpuMillis = try row.decode(Int.self, "cpu_millis")
        memoryMB = try row.decode(Int.self, "memory_mb")
        durationMs = try row.decode(Int64.self, "duration_ms")
        cpuMs = try row.decode(Int64.self, "cpu_ms")
        costMicros = try row.decode(Int64.self, "cost_micros")
    }
}
