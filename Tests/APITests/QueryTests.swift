import ExecboxAPI
import ExecboxModel
import Testing

@Suite("Queries") struct QueryTests {
    typealias Items = [(name: String, value: String)]

    private func items(_ text: String) -> Items {
        text.split(separator: "&").map { part in
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (name: String(pair[0]), value: pair.count > 1 ? String(pair[1]) : "")
        }
    }

    @Test("of a list take several statuses and labels")
    func readsList() throws {
        let query = try ListSessionsQuery(items("status=running&status=failed&status=running&label.a=1&label.b/c=x&limit=200&cursor=abc"))
        #expect(query.statuses == [.running, .failed])
        #expect(query.labels == ["a": "1", "b/c": "x"])
        #expect(query.limit == 200 && query.cursor == "abc")
        #expect(try ListSessionsQuery(query.items) == query)
        #expect(try ListSessionsQuery([]).limit == 50)
    }

    @Test(
        "name the parameter they refuse",
        arguments: [
            ("limit=0", "limit"), ("limit=201", "limit"), ("limit=x", "limit"), ("limit=%2B1", "limit"), ("limit=1&limit=2", "limit"),
            ("status=up", "status"), ("label.a=1&label.a=2", "label.a"), ("label.=1", "label."), ("Limit=1", "Limit"),
            ("cursor=", "cursor"),
        ])
    func refusesList(_ query: String, _ field: String) {
        let error = #expect(throws: ExecboxError.self) { try ListSessionsQuery(items(query)) }
        #expect(error?.details["field"] == .text(field))
    }

    @Test("of attach, wait, logs and url have their defaults and bounds")
    func readsOthers() throws {
        let attach = try AttachQuery(items("protocol=json&offset=17&flow=live&stdin=false"))
        #expect(attach.stream.encoding == .json && attach.stream.offset == 17 && attach.stream.flow == .live && !attach.stdin)
        #expect(try AttachQuery(attach.items) == attach)
        #expect(try AttachQuery([]).stream.offset == nil)
        for bad in ["offset=-1", "offset=x", "offset=9223372036854775808", "flow=recorder", "protocol=xml", "stdin=maybe", "token=x"] {
            #expect(throws: ExecboxError.self) { try AttachQuery(items(bad)) }
        }
        #expect(try WaitQuery([]).timeoutMs == 60_000)
        #expect(throws: ExecboxError.self) { try WaitQuery(items("timeoutMs=600001")) }
        let logs = try LogsQuery(items("stream=stderr&offset=5&limit=7&follow=true"))
        #expect(logs.stream == .stderr && logs.offset == 5 && logs.limit == 7 && logs.follow)
        #expect(try LogsQuery(logs.items) == logs)
        #expect(try URLQuery(items("port=8080")).port == 8080)
        #expect(throws: ExecboxError.self) { try URLQuery([]) }
        #expect(throws: ExecboxError.self) { try URLQuery(items("port=65536")) }
    }

    @Test("of exec keep the argv in its order and need a command or an id")
    func readsExec() throws {
        let query = try ExecQuery(
            items("cmd=sh&cmd=-c&cmd=&cmd=a=b&workdir=/w&user=1:2&tty=true&cols=100&rows=30&timeoutMs=5&id=x.1&detach=1"))
        #expect(query.command == ["sh", "-c", "", "a=b"])
        #expect(query.tty == TerminalSize(columns: 100, rows: 30))
        #expect(query.workDir == "/w" && query.user == "1:2" && query.timeoutMs == 5 && query.id == "x.1" && query.detach)
        #expect(try ExecQuery(query.items) == query)
        #expect(try ExecQuery(items("id=x")).command.isEmpty)
        for bad in [
            "", "cmd=", "cmd=a&cols=80", "cmd=a&tty=true&cols=0", "cmd=a&workdir=w", "cmd=a&id=", "cmd=a&env=A", "cmd=a&detach=yes",
        ] {
            #expect(throws: ExecboxError.self) { try ExecQuery(items(bad)) }
        }
    }
}
