import ExecboxAPI
import ExecboxModel
import Testing

@Suite("Answer bodies") struct AnswerBodyTests {
    private func text(_ value: some Encodable) throws -> String { String(decoding: try value.json(), as: UTF8.self) }

    private var session: SessionBody {
        SessionBody(
            id: "sess_01j0000000000000000000000a", status: .running, image: "a/b:c", command: ["x"], env: ["B", "A"], workDir: "/",
            user: "",
            labels: [:], resources: ResourcesBody(Resources()), backend: "docker", createdAt: Timestamp(unixMicroseconds: 1_500_999))
    }

    @Test("of a session leave out what is nil and sort the env's names")
    func sessionWithoutOptionals() throws {
        guard case .object(let object) = try JSONParser.parse(try session.json()) else {
            Issue.record("no object")
            return
        }
        #expect(
            Set(object.keys) == [
                "id", "status", "image", "command", "env", "workDir", "user", "labels", "resources", "backend", "createdAt",
            ])
        #expect(object["env"] == .array([.string("A"), .string("B")]))
        #expect(object["createdAt"] == .string("1970-01-01T00:00:01.500Z"))
        #expect(
            object["resources"]
                == .object(["cpuMillis": .integer(1000), "memoryMB": .integer(512), "diskMB": .integer(1024), "pids": .integer(256)]))
        #expect(try text(session).contains("a/b:c"))
    }

    @Test("of a session survive the way to a client")
    func sessionRoundTrip() throws {
        var full = session
        full.status = .killed
        full.reason = .oomKilled
        full.progress = ProgressBody(phase: "pulling", detail: "layer", currentBytes: 1, totalBytes: 2)
        full.exitCode = -1
        full.signal = "SIGKILL"
        full.error = "memory limit of 512 MB"
        full.endedAt = Timestamp(unixMicroseconds: 2_000_000)
        full.network = NetworkBody(
            mode: .exposed, host: "127.0.0.1", ports: ["8080": .init(hostPort: 40_000, url: "http://127.0.0.1:40000")])
        full.usage = UsageBody(durationMs: 1, cpuMs: 2, memoryPeakMB: 3, oomKills: 4, stdoutBytes: 5, stderrBytes: 6, costMicros: 7)
        full.createdAt = Timestamp(unixMicroseconds: 1_000_000)
        #expect(try SessionBody.fromJSON(full.json()) == full)
        #expect(try text(full).contains(#""reason":"oom_killed""#))
        let list = SessionListBody(sessions: [full], nextCursor: "x")
        #expect(try SessionListBody.fromJSON(list.json()) == list)
    }

    @Test("of an exec carry bytes that are no UTF-8 as base64, and a missing exit code as null")
    func execResult() throws {
        let result = ExecResultBody(
            id: "exec_1", exitCode: nil, reason: "session_ended", stdout: [0xFF, 0], stderr: Array("é".utf8), stdoutBytes: 2,
            stderrBytes: 2,
            truncated: false, durationMs: 3)
        guard case .object(let object) = try JSONParser.parse(try result.json()) else {
            Issue.record("no object")
            return
        }
        #expect(object["exitCode"] == .null)
        #expect(object["stdoutBase64"] == .string("/wA=") && object["stdout"] == nil && object["stderr"] == .string("é"))
        #expect(try ExecResultBody.fromJSON(result.json()) == result)
    }

    @Test("of an error have the one shape")
    func error() throws {
        let body = ErrorBody(
            error: "no such session", code: "NOT_FOUND", requestID: "r", details: ["limit": .number(5), "field": .text("a")])
        #expect(try ErrorBody.fromJSON(body.json()) == body)
        let foreign = try ErrorBody.fromJSON(
            #"{"error":"e","code":"C","requestId":"r","details":{"a":1.5,"b":true,"c":[1]},"more":1}"#.utf8)
        #expect(foreign.details == ["a": .text("1.5"), "b": .text("true"), "c": .text("…")])
    }

    @Test("of a port and of stats read as documented")
    func others() throws {
        let url = URLBody(containerPort: 80, hostPort: 81, url: "http://x", transport: .tcp)
        #expect(try text(url).contains(#""protocol":"tcp""#))
        #expect(try URLBody.fromJSON(url.json()) == url)
        let state = ExecStateBody(id: "e", state: .running, stdoutBytes: 0, stderrBytes: 0, durationMs: 1)
        #expect(try ExecListBody.fromJSON(ExecListBody(execs: [state]).json()) == ExecListBody(execs: [state]))
    }
}
