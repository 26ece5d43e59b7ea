import ExecboxAPI
import ExecboxCurl
import ExecboxModel
import ExecboxPostgres
import ExecboxTestSupport
import Testing

/// One server for all of these: they only ask.
@Suite struct ErrorShapeTests {
    private struct Case: Sendable {
        var method = "GET"
        var path: String
        var body: String?
        var status: Int
        var code: String
        var field: String?
    }

    private static let session = "sess_00000000000000000000000000"

    private static let cases: [Case] = [
        Case(path: "/nowhere", status: 404, code: "NOT_FOUND"),
        Case(path: "/v1/nowhere", status: 404, code: "NOT_FOUND"),
        Case(method: "PUT", path: "/v1/sessions", status: 405, code: "METHOD_NOT_ALLOWED"),
        Case(method: "POST", path: "/health", status: 405, code: "METHOD_NOT_ALLOWED"),
        Case(path: "/v1/sessions/\(session)", status: 404, code: "NOT_FOUND"),
        Case(path: "/v1/sessions/nonsense", status: 404, code: "NOT_FOUND"),
        Case(method: "DELETE", path: "/v1/sessions/\(session)", status: 404, code: "NOT_FOUND"),
        Case(path: "/v1/sessions/\(session)/logs", status: 404, code: "NOT_FOUND"),
        Case(path: "/v1/sessions/\(session)/files?path=/x", status: 404, code: "NOT_FOUND"),
        Case(path: "/v1/sessions/\(session)/attach", status: 426, code: "UPGRADE_REQUIRED"),
        Case(path: "/v1/sessions?limit=0", status: 400, code: "BAD_REQUEST", field: "limit"),
        Case(path: "/v1/sessions?colour=red", status: 400, code: "BAD_REQUEST", field: "colour"),
        Case(path: "/v1/sessions?status=gone", status: 400, code: "BAD_REQUEST", field: "status"),
        Case(path: "/v1/sessions?cursor=x", status: 400, code: "BAD_REQUEST", field: "cursor"),
        Case(path: "/v1/sessions?limit=%zz", status: 400, code: "BAD_REQUEST", field: "limit"),
        Case(method: "POST", path: "/v1/sessions", body: "{", status: 400, code: "BAD_REQUEST"),
        Case(method: "POST", path: "/v1/sessions", body: "{}", status: 400, code: "BAD_REQUEST", field: "image"),
        Case(
            method: "POST", path: "/v1/sessions", body: #"{"image":"a","resources":{"memoryMb":64}}"#, status: 400, code: "BAD_REQUEST",
            field: "resources.memoryMb"),
        Case(
            method: "POST", path: "/v1/sessions", body: #"{"image":"a","resources":{"memoryMB":1}}"#, status: 400, code: "BAD_REQUEST",
            field: "resources.memoryMB"),
        Case(
            method: "POST", path: "/v1/sessions", body: #"{"image":"a","network":"none","resources":{"cpuMillis":8000}}"#, status: 400,
            code: "BAD_REQUEST", field: "resources.cpuMillis"),
        Case(
            method: "POST", path: "/v1/sessions", body: #"{"image":"a","network":"none","backend":"moon"}"#, status: 400,
            code: "BAD_REQUEST", field: "backend"),
        Case(
            method: "POST", path: "/v1/sessions", body: #"{"image":"a","setup":["x"]}"#, status: 501, code: "NOT_IMPLEMENTED",
            field: "setup"),
    ]

    @Test func everyErrorHasTheOneShapeAndNamesItsField() async throws {
        try await ServerProcess.with { server in
            for test in Self.cases {
                let response = try await server.request(test.method, test.path, json: test.body)
                let name: Comment = "\(test.method) \(test.path) \(test.body ?? "")"
                #expect(response.status == test.status, name)
                let body = try ErrorBody.fromJSON(response.body)
                #expect(body.code == test.code, name)
                #expect(!body.error.isEmpty, name)
                #expect(response.header("X-Request-Id") == body.requestID, name)
                if let field = test.field { #expect(body.details?["field"] == .text(field), name) }
                if test.status == 405 { #expect(response.header("Allow") != nil, name) }
            }
        }
    }

    @Test func aMissingOrWrongKeyHasOneAnswer() async throws {
        try await ServerProcess.with { server in
            var bodies: Set<String> = []
            for header in [nil, "Bearer", "Bearer x", "Basic abc", "Bearer eb_aaaaaaaaaaaa_" + String(repeating: "b", count: 43)] {
                let headers = header.map { [CurlHeader("Authorization", $0)] } ?? []
                let response = try await server.request("GET", "/v1/sessions", headers: headers, authorized: false)
                #expect(response.status == 401)
                var body = try ErrorBody.fromJSON(response.body)
                body.requestID = ""
                bodies.insert("\(body)")
            }
            #expect(bodies.count == 1)
            #expect(try await server.request("GET", "/health", authorized: false).status == 200)
            #expect(try await server.request("GET", "/ready", authorized: false).status == 200)
        }
    }

    @Test func theCallersRequestIDComesBackAndANonsenseOneDoesNot() async throws {
        try await ServerProcess.with { server in
            let own = try await server.request("GET", "/health", headers: [CurlHeader("X-Request-Id", "abc-123")])
            #expect(own.header("X-Request-Id") == "abc-123")
            let long = try await server.request("GET", "/health", headers: [CurlHeader("X-Request-Id", String(repeating: "a", count: 129))])
            #expect(long.header("X-Request-Id")?.hasPrefix("req_") == true)
        }
    }

    @Test func aBodyOverTheLimitIsRefusedWithTheLimit() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sleep", "600"])
            let body = #"{"command":["true"],"stdin":""# + String(repeating: "x", count: 2 << 20) + #""}"#
            let response = try await server.request("POST", "/v1/sessions/\(session.id)/exec", json: body)
            #expect(response.status == 413)
            #expect(try ErrorBody.fromJSON(response.body).details?["limitBytes"] == .number(1 << 20))
        }
    }

    @Test func aRevokedKeyStopsWorkingWithinASecond() async throws {
        try await ServerProcess.with { server in
            #expect(try await server.request("GET", "/v1/sessions").status == 200)
            try await server.database.withConnection { connection in
                _ = try await connection.execute("UPDATE api_keys SET revoked_at = now()")
            }
            try await eventually("the key is refused", within: .seconds(2)) {
                try await server.request("GET", "/v1/sessions").status == 401
            }
        }
    }
}

extension CurlResponse {
    fileprivate func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }
}
