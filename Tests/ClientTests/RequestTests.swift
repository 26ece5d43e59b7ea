import ExecboxAPI
import ExecboxClient
import ExecboxModel
import Testing

@Suite("The client", .timeLimit(.minutes(1))) struct RequestTests {
    @Test("creates, reads, lists and stops sessions")
    func sessions() async throws {
        try await FakeServer.with { url in
            let client = try ExecboxClient(url: url + "/", apiKey: "key")
            #expect(try await client.sessions.create(CreateSessionBody(image: "python:3.12")).image == "python:3.12")
            #expect(try await client.sessions.get("sess_x") == FakeServer.session)
            let page = try await client.sessions.list()
            #expect(page.sessions == [FakeServer.session] && page.nextCursor == "next")
            #expect(try await client.sessions.stop("sess_x").status == "stopped")
            let logs = try await client.sessions.logs("sess_x")
            #expect(logs == LogPage(bytes: Array("hello".utf8), nextOffset: 5, isComplete: true, missingBytes: 0))
            var streamed: [UInt8] = []
            for try await bytes in try await client.sessions.logStream("sess_x") { streamed += bytes }
            #expect(streamed == Array("hello".utf8))
        }
    }

    @Test("throws the server's errors with all they say")
    func serverErrors() async throws {
        try await FakeServer.with { url in
            let client = try ExecboxClient(url: url, apiKey: "key")
            let missing = await #expect(throws: ExecboxClientError.self) { try await client.sessions.get("sess_y/../x y") }
            #expect(missing?.code == .notFound && missing?.status == 404 && missing?.requestID == "r2")
            let invalid = await #expect(throws: ExecboxClientError.self) {
                try await client.sessions.create(CreateSessionBody(image: "a b"))
            }
            #expect(invalid?.code == .badRequest && invalid?.details["field"] == .text("image"))
            let foreign = await #expect(throws: ExecboxClientError.self) { try await client.sessions.stats("sess_x") }
            #expect(foreign?.code == .backendUnavailable && foreign?.status == 502)
        }
    }

    @Test("says when nobody is there, and refuses addresses and keys that are none")
    func ownErrors() async throws {
        let client = try ExecboxClient(url: "http://127.0.0.1:1", apiKey: "key")
        let unreachable = await #expect(throws: ExecboxClientError.self) { try await client.sessions.get("x") }
        #expect(unreachable?.code == .unreachable)
        let stream = await #expect(throws: ExecboxClientError.self) { try await client.sessions.attach("x") }
        #expect(stream?.code == .unreachable)
        for url in ["", "localhost:8080", "ftp://x", "http://", "http://a b"] {
            #expect(throws: ExecboxClientError.self) { try ExecboxClient(url: url, apiKey: "key") }
        }
        #expect(throws: ExecboxClientError.self) { try ExecboxClient(url: "http://x", apiKey: "a\nb") }
    }
}
