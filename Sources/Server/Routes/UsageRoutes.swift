import ExecboxAPI
import ExecboxCore
import ExecboxModel
import HTTPTypes
import Hummingbird
import NIOCore

/// `/v1/account/usage`: what the account used and what it cost (PROTOCOL §6).
struct UsageRoutes {
    let reports: UsageReports

    func add(to routes: RouteTable) {
        routes.on("account/usage", [.get: usage], scopes: .usage)
        routes.on("account/usage/enhanced", [.get: enhanced], scopes: .usage)
        routes.on("account/usage/export", [.get: export], scopes: .usage)
    }

    private func usage(_ request: Request, _ context: ServerContext) async throws -> Response {
        try QueryReader(request.queryItems()).finish()
        let (account, now) = try await reports.now(of: context.caller)
        return try .json(AccountUsageBody(account, now))
    }

    private func enhanced(_ request: Request, _ context: ServerContext) async throws -> Response {
        let query = try UsageQuery.enhanced(request.queryItems())
        let report = try await reports.report(of: context.caller, try Self.subject(query), days: query.days)
        return try .json(
            EnhancedUsageBody(
                accountID: report.account.id.description, now: AccountUsageBody(report.account, report.now),
                costEstimateMicros: report.now.monthCostMicros, monthlyCostLimitMicros: report.account.limits.monthlyCostMicros,
                alertThreshold: report.account.limits.alertThreshold,
                hourlyUsage: report.hours.map {
                    .init(hour: $0.period, executions: $0.executions, errors: $0.errors, costMicros: $0.costMicros)
                },
                dailyHistory: report.days.map(DayUsageBody.init)))
    }

    private func export(_ request: Request, _ context: ServerContext) async throws -> Response {
        let query = try UsageQuery.export(request.queryItems())
        let subject = try Self.subject(query)
        switch query.grouping {
        case .day:
            let days = try await reports.days(query.days, of: context.caller, subject).map(DayUsageBody.init)
            return Self.table(query, header: DayUsageBody.csvHeader, row: \.csvRow) { emit in try await emit(days) }
        case .session:
            let pages = try await reports.charges(of: context.caller, subject, days: query.days)
            return Self.table(query, header: SessionChargeBody.csvHeader, row: \.csvRow) { emit in
                for try await page in pages { try await emit(page.map(SessionChargeBody.init)) }
            }
        }
    }

    /// Pages of rows as they come, as a JSON array or as CSV.
    private static func table<Row: Encodable & Sendable>(
        _ query: UsageQuery, header: CSVRow, row: @escaping @Sendable (Row) -> CSVRow,
        pages: @escaping @Sendable (_ emit: ([Row]) async throws -> Void) async throws -> Void
    ) -> Response {
        let isCSV = query.format == .csv
        let body = ResponseBody { writer in
            if isCSV { try await writer.write(ByteBuffer(bytes: header.bytes)) }
            var isFirst = true
            try await pages { page in
                var buffer = ByteBuffer()
                for element in page {
                    if isCSV {
                        buffer.writeBytes(row(element).bytes)
                    } else {
                        buffer.writeString(isFirst ? "[" : ",")
                        buffer.writeBytes(try element.json())
                    }
                    isFirst = false
                }
                if buffer.readableBytes > 0 { try await writer.write(buffer) }
            }
            if !isCSV { try await writer.write(ByteBuffer(string: isFirst ? "[]" : "]")) }
            try await writer.finish(nil)
        }
        let type = isCSV ? "text/csv; charset=utf-8; header=present" : "application/json"
        var headers: HTTPFields = [.contentType: type]
        headers[.contentDisposition] = "attachment; filename=\"usage-\(query.days)-days.\(query.format.rawValue)\""
        return Response(status: .ok, headers: headers, body: body)
    }

    private static func subject(_ query: UsageQuery) throws(ExecboxError) -> UsageSubject {
        if let label = query.label { return .label(name: label.name, value: label.value) }
        guard let text = query.keyID else { return .account }
        guard let id = KeyID(text) else { throw Keys.notFound }
        return .key(id)
    }
}

extension AccountUsageBody {
    fileprivate init(_ account: Account, _ now: UsageNow) {
        self.init(
            sessionsToday: now.sessionsToday, activeSessions: now.activeSessions, tier: account.tier.name,
            concurrentLimit: account.concurrentSessions, dailyLimit: account.sessionsPerDay, maxDurationMs: account.tier.maxDurationMs,
            maxMemoryMB: account.tier.maxMemoryMB)
    }
}

extension DayUsageBody {
    fileprivate init(_ sum: UsageSum) {
        self.init(
            date: sum.period, executions: sum.executions, errors: sum.errors, durationMs: sum.durationMs, cpuMs: sum.cpuMs,
            costMicros: sum.costMicros)
    }
}

extension SessionChargeBody {
    fileprivate init(_ charge: SessionCharge) {
        self.init(
            sessionID: charge.sessionID.description, date: charge.day, keyID: charge.keyID.description, image: charge.image,
            status: charge.status.rawValue, reason: charge.reason?.rawValue, startedAt: charge.startedAt, endedAt: charge.endedAt,
            cpuMillis: charge.cpuMillis, memoryMB: charge.memoryMB, durationMs: charge.durationMs, cpuMs: charge.cpuMs,
            costMicros: charge.costMicros, labels: charge.labels)
    }
}

extension DayUsageBody {
    fileprivate static let csvHeader = CSVRow(["date", "executions", "errors", "duration_ms", "cpu_ms", "cost_cents", "cost_micros"])

    fileprivate var csvRow: CSVRow {
        var row = CSVRow([date])
        for number in [executions, errors, durationMs, cpuMs, costCents, costMicros] { row.append(number) }
        return row
    }
}

extension SessionChargeBody {
    fileprivate static let csvHeader = CSVRow([
        "session_id", "date", "key_id", "image", "status", "reason", "started_at", "ended_at", "cpu_millis", "memory_mb", "duration_ms",
        "cpu_ms", "cost_micros", "labels",
    ])

    fileprivate var csvRow: CSVRow {
        var row = CSVRow([sessionID, date, keyID, image, status, reason ?? "", startedAt?.text ?? "", endedAt?.text ?? ""])
        for number in [Int64(cpuMillis), Int64(memoryMB), durationMs, cpuMs, costMicros] { row.append(number) }
        row.append(String(decoding: (try? labels.json()) ?? [], as: UTF8.self))
        return row
    }
}
