import ExecboxAPI
import ExecboxCurl
import ExecboxModel
import ExecboxTestSupport
import Testing

/// Requests a second over HTTP.
@Suite struct RateLimitTests {
    @Test func theHeadersStandOnEveryAnswerAndARefusalNamesTheLimit() async throws {
        try await ServerProcess.with { server in
            for (path, status) in [("/v1/account", 200), ("/v1/sessions/nonsense", 404), ("/v1/account/usage?x=1", 400)] {
                let answer = try await server.request("GET", path)
                #expect(answer.status == status)
                #expect(answer.headers["RateLimit-Limit"] == "500", "\(path)")
                #expect(answer.headers["RateLimit-Remaining"].flatMap { Int($0) } ?? 0 > 0)
                // Full again by the time of the answer, or nearly so.
                #expect(["0", "1"].contains(answer.headers["RateLimit-Reset"] ?? ""))
            }
            #expect(try await server.request("GET", "/v1/account", authorized: false).headers["RateLimit-Limit"] == nil)
            let body = #"{"name":"slow","custom_rate_limit":1}"#
            let slow = try KeyBody.fromJSON(try await server.request("POST", "/v1/account/keys", json: body).body)
            #expect(slow.customRateLimit == 1)
            let key = try #require(slow.key)
            var refused: CurlResponse?
            // One a second: the second or third within a second is refused, however busy the machine is.
            for _ in 0..<50 where refused == nil {
                let answers = try await withThrowingTaskGroup(of: CurlResponse.self) { group in
                    for _ in 0..<8 {
                        group.addTask {
                            try await server.request(
                                "GET", "/v1/account", headers: [CurlHeader("Authorization", "Bearer \(key)")], authorized: false)
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                refused = answers.first { $0.status == 429 }
            }
            let answer = try #require(refused)
            let error = try ErrorBody.fromJSON(answer.body)
            #expect(error.code == "RATE_LIMIT_EXCEEDED" && error.details?["limit"] == .text("requests_per_second"))
            #expect(error.details?["owner"] == .text("key") && error.details?["value"] == .number(1))
            #expect(answer.headers["Retry-After"] == "1" && answer.headers["RateLimit-Limit"] == "1")
            #expect(answer.headers["RateLimit-Remaining"] == "0")
            // The account's other keys are not touched by it.
            #expect(try await server.request("GET", "/v1/account").status == 200)
            let above = try await server.request("PUT", "/v1/account/keys/\(slow.id)", json: #"{"custom_rate_limit":501}"#)
            #expect(above.status == 400)
        }
    }
}
