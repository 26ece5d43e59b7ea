import ExecboxAPI
import ExecboxCurl
import ExecboxModel
import ExecboxTestSupport
import Testing

/// `Idempotency-Key` over HTTP.
@Suite struct IdempotencyRouteTests {
    private static func post(_ server: ServerProcess, _ path: String, _ body: String, key: String) async throws -> CurlResponse {
        try await server.request("POST", path, json: body, headers: [CurlHeader("Idempotency-Key", key)])
    }

    private static func isReplayed(_ answer: CurlResponse) -> Bool { answer.headers["Idempotent-Replayed"] == "true" }

    @Test func aSessionIsMadeOnceHoweverOftenItIsAskedFor() async throws {
        try await ServerProcess.with { server in
            let body = #"{"image":"\#(server.engine.imageName)","network":"none","command":["sleep","600"]}"#
            let answers = try await withThrowingTaskGroup(of: CurlResponse.self) { group in
                for _ in 0..<12 { group.addTask { try await Self.post(server, "/v1/sessions", body, key: "create-1") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.allSatisfy { $0.status == 201 })
            let sessions = try answers.map { try SessionBody.fromJSON($0.body) }
            #expect(Set(sessions.map(\.id)).count == 1 && sessions.allSatisfy { $0.status == .running })
            #expect(answers.filter(Self.isReplayed).count == 11)
            let other = try await Self.post(server, "/v1/sessions", body.replacing("600", with: "601"), key: "create-1")
            #expect(other.status == 422)
            #expect(try ErrorBody.fromJSON(other.body).code == "IDEMPOTENCY_MISMATCH")
            #expect(try SessionListBody.fromJSON(try await server.request("GET", "/v1/sessions").body).sessions.count == 1)

            let stop = "/v1/sessions/\(sessions[0].id)/stop"
            let first = try await Self.post(server, stop, #"{"graceMs":0}"#, key: "stop")
            let second = try await Self.post(server, stop, #"{"graceMs":0}"#, key: "stop")
            #expect(first.status == 200 && second.status == 200 && first.body == second.body && Self.isReplayed(second))
            #expect(try await server.request("POST", stop, json: "{}").status == 409)
            // The session it made has ended by now: the answer says so.
            let late = try SessionBody.fromJSON(try await Self.post(server, "/v1/sessions", body, key: "create-1").body)
            #expect(late.status == .stopped)
        }
    }

    @Test func aRefusedRequestIsNotRecorded() async throws {
        try await ServerProcess.with { server in
            for status in [400, 400] {
                #expect(try await Self.post(server, "/v1/sessions", #"{"image":""}"#, key: "k").status == status)
            }
            let body = #"{"image":"\#(server.engine.imageName)","network":"none"}"#
            let made = try await Self.post(server, "/v1/sessions", body, key: "k")
            #expect(made.status == 201 && !Self.isReplayed(made))
            let bad = try await Self.post(server, "/v1/sessions", body, key: String(repeating: "x", count: 256))
            #expect(bad.status == 400)
            #expect(try ErrorBody.fromJSON(bad.body).details?["field"] == .text("Idempotency-Key"))
        }
    }

    @Test func aKeysSecretIsShownOnce() async throws {
        try await ServerProcess.with { server in
            let first = try await Self.post(server, "/v1/account/keys", #"{"name":"ci"}"#, key: "k")
            let second = try await Self.post(server, "/v1/account/keys", #"{"name":"ci"}"#, key: "k")
            #expect(first.status == 201 && second.status == 201 && Self.isReplayed(second))
            var made = try KeyBody.fromJSON(first.body)
            let secret = try #require(made.key)
            made.key = nil
            #expect(try KeyBody.fromJSON(second.body) == made)
            let path = "/v1/account/keys/\(made.id)/rotate"
            let rotated = try #require(try KeyBody.fromJSON(try await Self.post(server, path, "", key: "r").body).key)
            #expect(try KeyBody.fromJSON(try await Self.post(server, path, "", key: "r").body).key == nil)
            #expect(try await server.status("/v1/account", key: rotated) == 200)
            #expect(try await server.status("/v1/account", key: secret) == 401)
        }
    }

    @Test func anExecRunsOnceAndItsResultIsGivenAgainAlsoByTheNextServer() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sleep", "600"])
            let path = "/v1/sessions/\(session.id)/exec"
            let body = #"{"command":["sh","-c","echo run >> /tmp/runs; cat; wc -l < /tmp/runs; exit 7"],"stdin":"in\n"}"#
            let first = try await Self.post(server, path, body, key: "e")
            #expect(first.status == 200)
            let result = try ExecResultBody.fromJSON(first.body)
            #expect(result.stdout == Array("in\n1\n".utf8) && result.exitCode == 7)
            let second = try await Self.post(server, path, body, key: "e")
            #expect(Self.isReplayed(second))
            #expect(try ExecResultBody.fromJSON(second.body) == result)
            let detached = #"{"command":["sh","-c","echo run >> /tmp/runs"],"detach":true}"#
            let ids = try [
                ExecStartedBody.fromJSON(try await Self.post(server, path, detached, key: "d").body).id,
                ExecStartedBody.fromJSON(try await Self.post(server, path, detached, key: "d").body).id,
            ]
            #expect(ids[0] == ids[1])

            await server.kill()
            try await server.start()
            let third = try await Self.post(server, path, body, key: "e")
            #expect(third.status == 200 && Self.isReplayed(third))
            #expect(try ExecResultBody.fromJSON(third.body) == result)
            _ = try await server.request("DELETE", "/v1/sessions/\(session.id)")
            let gone = try await Self.post(server, path, body, key: "e")
            #expect(gone.status == 410)
        }
    }
}
