import ExecboxAPI
import ExecboxModel
import Testing

@Suite("Request bodies") struct RequestBodyTests {
    private func create(_ json: String) throws -> CreateSessionBody { try CreateSessionBody(json: json.utf8) }

    struct Refusal: CustomTestStringConvertible, Sendable {
        let json: String
        let field: String
        var testDescription: String { "\(field): \(json.prefix(80))" }

        init(_ json: String, _ field: String) {
            self.json = json
            self.field = field
        }
    }

    @Test("of a create may name everything")
    func readsEverything() throws {
        let body = try create(
            """
            {"image":"python:3.12","command":["sh","-c",""],"env":{"A":"1","B_b":""},"workDir":"/app","user":"nobody:nogroup",
             "resources":{"cpuMillis":100,"memoryMB":32,"timeoutMs":1000,"idleTimeoutMs":1000,"diskMB":5,"pids":9,"diskReadBps":1,
                          "diskWriteBps":2,"diskReadIops":3,"diskWriteIops":4,"computePower":"x","storageMB":{},"timeout":[]},
             "network":"exposed","ports":[{"container":80},{"container":80,"protocol":"udp"}],"setup":["pip install x"],
             "files":[{"path":"/a","content":"é"},{"path":"/b","content":"AAH/","encoding":"base64","mode":"0755"},{"path":"/c","content":"","mode":420}],
             "pull":"always","tty":{"cols":132},"stdin":false,"labels":{"team":"x y"},"backend":"docker"}
            """)
        var expected = CreateSessionBody(image: "python:3.12")
        expected.command = ["sh", "-c", ""]
        expected.env = ["A": "1", "B_b": ""]
        expected.workDir = "/app"
        expected.user = "nobody:nogroup"
        var resources = RequestedResources()
        resources.cpuMillis = 100
        resources.memoryMB = 32
        resources.timeoutMs = 1000
        resources.idleTimeoutMs = 1000
        resources.diskMB = 5
        resources.pids = 9
        resources.diskReadBps = 1
        resources.diskWriteBps = 2
        resources.diskReadIops = 3
        resources.diskWriteIops = 4
        expected.resources = resources
        expected.network = .exposed
        expected.ports = [PortSpec(container: 80, transport: .tcp), PortSpec(container: 80, transport: .udp)]
        expected.setup = ["pip install x"]
        expected.files = [
            FileBody(path: "/a", content: Array("é".utf8)), FileBody(path: "/b", content: [0, 1, 255], mode: 0o755),
            FileBody(path: "/c", content: [], mode: 0o644),
        ]
        expected.pull = .always
        expected.tty = TerminalSize(columns: 132, rows: 24)
        expected.stdin = false
        expected.labels = ["team": "x y"]
        expected.backend = "docker"
        #expect(body == expected)
        // What the SDK sends is what the server reads.
        #expect(try CreateSessionBody(json: expected.json()) == expected)
    }

    @Test("of a create needs an image only; null and old clients' empty values count as absent")
    func readsMinimum() throws {
        let minimal = CreateSessionBody(image: "alpine")
        #expect(try create(#"{"image":"alpine"}"#) == minimal)
        #expect(try create(#"{"image":"alpine","command":null,"files":null,"ports":null,"env":null,"tty":false}"#) == minimal)
        #expect(try create(#"{"image":"alpine","command":[],"workDir":"","user":""}"#) == minimal)
        #expect(try create(#"{"image":"alpine","tty":true}"#).tty == TerminalSize(columns: 80, rows: 24))
    }

    @Test(
        "name the field they refuse",
        arguments: [
            Refusal("{}", "image"), Refusal("[]", ""), Refusal(#"{"image":5}"#, "image"), Refusal(#"{"image":""}"#, "image"),
            Refusal(#"{"image":"sha256:0123"}"#, "image"), Refusal(#"{"image":"\#(String(repeating: "a", count: 64))"}"#, "image"),
            Refusal(#"{"image":"a b"}"#, "image"), Refusal(#"{"image":"-rm"}"#, "image"),
            Refusal(#"{"image":"\#(String(repeating: "a", count: 513))"}"#, "image"),
            Refusal(#"{"image":"a","typo":1}"#, "typo"), Refusal(#"{"image":"a","resources":{"memoryMb":1}}"#, "resources.memoryMb"),
            Refusal(#"{"image":"a","resources":{"memoryMB":31}}"#, "resources.memoryMB"),
            Refusal(#"{"image":"a","resources":{"memoryMB":8193}}"#, "resources.memoryMB"),
            Refusal(#"{"image":"a","resources":{"memoryMB":"512"}}"#, "resources.memoryMB"),
            Refusal(#"{"image":"a","resources":{"memoryMB":512.0}}"#, "resources.memoryMB"),
            Refusal(#"{"image":"a","resources":{"cpuMillis":99}}"#, "resources.cpuMillis"),
            Refusal(#"{"image":"a","resources":{"cpuMillis":8001}}"#, "resources.cpuMillis"),
            Refusal(#"{"image":"a","resources":{"timeoutMs":999}}"#, "resources.timeoutMs"),
            Refusal(#"{"image":"a","resources":{"timeoutMs":9223372036854775807}}"#, "resources.timeoutMs"),
            Refusal(#"{"image":"a","resources":{"pids":99999999999999999999}}"#, "resources.pids"),
            Refusal(#"{"image":"a","command":"ls"}"#, "command"), Refusal(#"{"image":"a","command":[""]}"#, "command[0]"),
            Refusal(#"{"image":"a","command":["a","b\u0000"]}"#, "command[1]"), Refusal(#"{"image":"a","command":["a",1]}"#, "command[1]"),
            Refusal(#"{"image":"a","env":{"":"x"}}"#, "env."), Refusal(#"{"image":"a","env":{"A=B":"x"}}"#, "env.A=B"),
            Refusal(#"{"image":"a","env":{"A":1}}"#, "env.A"), Refusal(#"{"image":"a","env":{"A":"\u0000"}}"#, "env.A"),
            Refusal(#"{"image":"a","env":["A=B"]}"#, "env"),
            Refusal(#"{"image":"a","workDir":"app"}"#, "workDir"), Refusal(#"{"image":"a","workDir":"/a\u0000"}"#, "workDir"),
            Refusal(#"{"image":"a","user":"a b"}"#, "user"), Refusal(#"{"image":"a","user":":x"}"#, "user"),
            Refusal(#"{"image":"a","network":"host"}"#, "network"), Refusal(#"{"image":"a","ports":[{"container":80}]}"#, "ports"),
            Refusal(#"{"image":"a","network":"exposed","ports":[{"container":0}]}"#, "ports[0].container"),
            Refusal(#"{"image":"a","network":"exposed","ports":[{"container":80},{"container":80,"protocol":"tcp"}]}"#, "ports[1]"),
            Refusal(#"{"image":"a","network":"exposed","ports":[{"container":80,"protocol":"sctp"}]}"#, "ports[0].protocol"),
            Refusal(#"{"image":"a","network":"exposed","ports":[{"port":80,"container":1}]}"#, "ports[0].port"),
            Refusal(#"{"image":"a","files":[{"path":"a","content":""}]}"#, "files[0].path"),
            Refusal(#"{"image":"a","files":[{"path":"/a/../b","content":""}]}"#, "files[0].path"),
            Refusal(#"{"image":"a","files":[{"path":"/a","content":"*","encoding":"base64"}]}"#, "files[0].content"),
            Refusal(#"{"image":"a","files":[{"path":"/a","content":"","mode":"9"}]}"#, "files[0].mode"),
            Refusal(#"{"image":"a","files":[{"path":"/a"}]}"#, "files[0].content"),
            Refusal(#"{"image":"a","setup":[""]}"#, "setup[0]"), Refusal(#"{"image":"a","pull":"never"}"#, "pull"),
            Refusal(#"{"image":"a","tty":{"cols":0}}"#, "tty.cols"), Refusal(#"{"image":"a","tty":"yes"}"#, "tty"),
            Refusal(#"{"image":"a","tty":{"width":1}}"#, "tty.width"), Refusal(#"{"image":"a","stdin":1}"#, "stdin"),
            Refusal(#"{"image":"a","labels":{"-a":"x"}}"#, "labels.-a"), Refusal(#"{"image":"a","labels":{"a b":"x"}}"#, "labels.a b"),
            Refusal(#"{"image":"a","labels":{"a":"\#(String(repeating: "x", count: 256))"}}"#, "labels.a"),
            Refusal(#"{"image":"a","labels":{"a":"\n"}}"#, "labels.a"),
            Refusal("{\"image\":\"a\",\"labels\":{" + (0..<17).map { "\"k\($0)\":\"\"" }.joined(separator: ",") + "}}", "labels"),
        ])
    func namesRefusedField(_ test: Refusal) {
        let error = #expect(throws: ExecboxError.self) { try CreateSessionBody(json: test.json.utf8) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.details["field"] == .text(test.field))
    }

    @Test("hint at the spelling of a field")
    func hints() {
        let error = #expect(throws: ExecboxError.self) { try create(#"{"image":"a","resources":{"memoryMb":1,"memoryMB":64}}"#) }
        #expect(error?.message == "unknown field resources.memoryMb, did you mean memoryMB?")
    }

    @Test("of a stop may be empty")
    func readsStop() throws {
        #expect(try StopSessionBody(json: []).graceMs == 10_000)
        #expect(try StopSessionBody(json: Array("{}".utf8)).graceMs == 10_000)
        #expect(try StopSessionBody(json: Array(#"{"graceMs":0}"#.utf8)).graceMs == 0)
        #expect(throws: ExecboxError.self) { try StopSessionBody(json: Array(#"{"graceMs":60001}"#.utf8)) }
        #expect(throws: ExecboxError.self) { try StopSessionBody(json: Array(#"{"grace":1}"#.utf8)) }
    }

    @Test("of exec, patch and signal are read and refused as strictly")
    func readsOthers() throws {
        let exec = try ExecBody(json: #"{"command":["cat"],"stdin":"x","maxOutputBytes":10,"id":"my-1","detach":true,"tty":true}"#.utf8)
        #expect(exec.command == ["cat"] && exec.stdin == "x" && exec.maxOutputBytes == 10 && exec.id == "my-1" && exec.detach == true)
        #expect(try ExecBody(json: exec.json()) == exec)
        for json in [
            #"{}"#, #"{"command":[]}"#, #"{"command":["a"],"id":"a/b"}"#, #"{"command":["a"],"id":"main"}"#, #"{"command":["a"],"cwd":""}"#,
        ] {
            #expect(throws: ExecboxError.self) { try ExecBody(json: json.utf8) }
        }
        #expect(try PatchSessionBody(json: #"{"timeoutMs":1000,"labels":{}}"#.utf8) == PatchSessionBody(timeoutMs: 1000, labels: [:]))
        #expect(throws: ExecboxError.self) { try PatchSessionBody(json: #"{"timeoutMs":1}"#.utf8) }
        #expect(try SignalBody(json: #"{"signal":"int"}"#.utf8).signal == "SIGINT")
        #expect(throws: ExecboxError.self) { try SignalBody(json: #"{"signal":"SIGNOPE"}"#.utf8) }
        #expect(throws: ExecboxError.self) { try SignalBody(json: #"{"signal":"9"}"#.utf8) }
    }
}
