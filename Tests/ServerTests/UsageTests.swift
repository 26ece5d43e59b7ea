import ExecboxAPI
import ExecboxCurl
import ExecboxModel
import ExecboxTestSupport
import Foundation
import Testing

/// `/v1/account/usage` over HTTP, with real sessions.
@Suite struct UsageTests {
    private static func run(_ server: ServerProcess, _ command: String, labels: String = "{}") async throws -> SessionBody {
        let answer = try await server.request(
            "POST", "/v1/sessions",
            json: #"""
                {"image":"\#(server.engine.imageName)","network":"none","command":["sh","-c","\#(command)"],"labels":\#(labels),
                 "resources":{"memoryMB":64}}
                """#)
        #expect(answer.status == 201)
        return try SessionBody.fromJSON(answer.body)
    }

    private static func ended(_ server: ServerProcess, _ session: SessionBody) async throws -> SessionBody {
        try SessionBody.fromJSON(try await server.request("GET", "/v1/sessions/\(session.id)/wait").body)
    }

    @Test func whatASessionShowsStandsInEveryReportAndExport() async throws {
        try await ServerProcess.with { server in
            let first = try await Self.ended(server, try await Self.run(server, "exit 3", labels: #"{"team":"=1+1"}"#))
            let failed = try await Self.run(server, "true")
            _ = try await server.request(
                "POST", "/v1/sessions", json: #"{"image":"\#(server.engine.imageName)","command":["/nowhere"],"network":"none"}"#)
            let second = try await Self.ended(server, failed)
            let costs = [first, second].compactMap(\.usage?.costMicros)
            #expect(costs.count == 2 && costs.allSatisfy { $0 >= 1000 })
            let sum = costs.reduce(0, +)

            let usage = try AccountUsageBody.fromJSON(try await server.request("GET", "/v1/account/usage").body)
            #expect(usage.sessionsToday == 2 && usage.activeSessions == 0 && usage.dailyLimit == -1 && usage.quotaRemaining == -1)
            let enhanced = try EnhancedUsageBody.fromJSON(try await server.request("GET", "/v1/account/usage/enhanced").body)
            #expect(enhanced.now == usage && enhanced.dailyHistory.count == 7 && enhanced.hourlyUsage.count == 24)
            #expect(enhanced.costEstimateMicros == sum && enhanced.costEstimateCents == sum / 10_000)
            let today = enhanced.dailyHistory[0]
            #expect(today.executions == 3 && today.errors == 1 && today.costMicros == sum)
            // An hour may begin in between.
            #expect(enhanced.hourlyUsage.prefix(2).reduce(0) { $0 + $1.costMicros } == sum)
            let labelled = try EnhancedUsageBody.fromJSON(
                try await server.request("GET", "/v1/account/usage/enhanced?days=1&label.team=%3D1%2B1").body)
            #expect(labelled.dailyHistory.map(\.costMicros) == [costs[0]])

            let days = try await server.request("GET", "/v1/account/usage/export")
            #expect(try [DayUsageBody].fromJSON(days.body).first == today)
            #expect(days.headers["Content-Disposition"] == "attachment; filename=\"usage-30-days.json\"")
            let sessions = try [SessionChargeBody].fromJSON(
                try await server.request("GET", "/v1/account/usage/export?by=session").body)
            #expect(Set(sessions.map(\.sessionID)).isSuperset(of: [first.id, second.id].map { "\($0)" }) && sessions.count == 3)
            #expect(sessions.reduce(0) { $0 + $1.costMicros } == sum)
            let charge = try #require(sessions.first { $0.sessionID == "\(first.id)" })
            #expect(charge.costMicros == first.usage?.costMicros && charge.durationMs == first.usage?.durationMs)
            #expect(charge.labels == ["team": "=1+1"] && charge.memoryMB == 64 && charge.status == "stopped")
        }
    }

    @Test func csvOpensInASpreadsheetAsItIs() async throws {
        try await ServerProcess.with { server in
            _ = try await Self.ended(server, try await Self.run(server, "true", labels: #"{"a":"x,y","b":"\"q\""}"#))
            let answer = try await server.request("GET", "/v1/account/usage/export?format=csv&by=session&days=1")
            #expect(answer.headers["Content-Type"]?.hasPrefix("text/csv") == true)
            let lines = String(decoding: answer.body, as: UTF8.self).components(separatedBy: "\r\n")
            #expect(lines.count == 3 && lines[2].isEmpty)
            #expect(lines[0].hasPrefix("session_id,date,key_id,image,status,reason,") && lines[0].hasSuffix(",cost_micros,labels"))
            #expect(lines[1].hasPrefix("sess_") && lines[1].contains(#""{""#) && lines[1].hasSuffix(#"}""#))
            let days = try await server.request("GET", "/v1/account/usage/export?format=csv&days=3")
            let rows = String(decoding: days.body, as: UTF8.self).components(separatedBy: "\r\n")
            #expect(rows.count == 5 && rows[0] == "date,executions,errors,duration_ms,cpu_ms,cost_cents,cost_micros")
            #expect(rows[1].split(separator: ",").count == 7 && rows[3].hasSuffix(",0,0,0,0,0,0"))
        }
    }

    @Test func aMonthlyCostLimitEndsWhatRunsAndRefusesWhatIsNew() async throws {
        try await ServerProcess.with { server in
            let session = try await Self.run(server, "sleep 600")
            #expect(session.status == .running)
            let changed = try await server.request("PUT", "/v1/account/limits", json: #"{"monthly_cost_limit_micros":1001}"#)
            #expect(changed.status == 200)
            let ended = try await Self.ended(server, session)
            #expect(ended.status == .killed && ended.reason == .budgetExceeded)
            #expect(ended.error?.contains("monthly cost limit of 1001") == true)
            let refused = try await server.request(
                "POST", "/v1/sessions", json: #"{"image":"\#(server.engine.imageName)","network":"none"}"#)
            #expect(refused.status == 429)
            let error = try ErrorBody.fromJSON(refused.body)
            #expect(error.code == "QUOTA_EXCEEDED" && error.details?["limit"] == .text("monthly_cost_limit_micros"))
            #expect(refused.headers["Retry-After"].flatMap { Int($0) } ?? 0 > 0)
        }
    }

    @Test func badQueriesNameTheirParameter() async throws {
        try await ServerProcess.with { server in
            for (query, field) in [
                ("usage?days=3", "days"), ("usage/enhanced?days=0", "days"), ("usage/enhanced?days=91", "days"),
                ("usage/enhanced?days=x", "days"), ("usage/enhanced?format=csv", "format"), ("usage/export?format=xml", "format"),
                ("usage/export?days=366", "days"), ("usage/export?by=hour", "by"), ("usage/export?label.=x", "label."),
                ("usage/export?label.a=x&label.b=y", "label.b"), ("usage/export?label.a=x&key_id=key_0", "label.a"),
            ] {
                let answer = try await server.request("GET", "/v1/account/\(query)")
                #expect(answer.status == 400, "\(query)")
                #expect(try ErrorBody.fromJSON(answer.body).details?["field"] == .text(field), "\(query)")
            }
            for id in ["key_00000000000000000000000000", "nonsense"] {
                #expect(try await server.request("GET", "/v1/account/usage/enhanced?key_id=\(id)").status == 404)
            }
        }
    }
}
