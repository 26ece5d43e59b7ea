import ExecboxModel

/// `GET /v1/sessions/{id}/exec?cmd=&workdir=&user=&tty=&cols=&rows=&timeoutMs=&id=&detach=&protocol=&offset=&flow=`.
public struct ExecQuery: Equatable, Sendable {
    public var stream = StreamQuery()
    /// Empty to attach only, which needs `id`.
    public var command: [String] = []
    public var workDir: String?
    public var user: String?
    public var tty: TerminalSize?
    public var timeoutMs: Int64?
    public var id: String?
    public var detach = false

    public init() {}

    public init(_ items: [(name: String, value: String)]) throws(ExecboxError) {
        var query = QueryReader(items)
        stream = try StreamQuery(from: &query)
        command = query.all("cmd")
        guard command.count <= FieldForm.maxArguments else { throw .invalid("cmd", "query parameter cmd is given too often") }
        if let problem = command.lazy.compactMap({ FieldForm.problem(argument: $0) }).first {
            throw .invalid("cmd", "query parameter cmd \(problem)")
        }
        guard command.first != "" else { throw .invalid("cmd", "the first query parameter cmd must not be empty") }
        workDir = try query.text("workdir") { FieldForm.problem(absolutePath: $0) }
        user = try query.text("user") { FieldForm.problem(user: $0) }
        let columns = try query.integer("cols", in: FieldForm.terminalRange)
        let rows = try query.integer("rows", in: FieldForm.terminalRange)
        if try query.bool("tty") ?? false {
            var size = TerminalSize()
            if let columns { size.columns = UInt16(columns) }
            if let rows { size.rows = UInt16(rows) }
            tty = size
        } else if columns != nil || rows != nil {
            throw .invalid(columns != nil ? "cols" : "rows", "cols and rows are only taken with tty=true")
        }
        timeoutMs = try query.integer("timeoutMs", in: 1...FieldForm.maxMilliseconds)
        id = try query.text("id") { FieldForm.problem(execID: $0) }
        if let detach = try query.bool("detach") { self.detach = detach }
        try query.finish()
        guard !command.isEmpty || id != nil else { throw .invalid("cmd", "either cmd or id is required") }
    }

    public var items: [(name: String, value: String)] {
        var items = command.map { (name: "cmd", value: $0) }
        if let workDir { items.append((name: "workdir", value: workDir)) }
        if let user { items.append((name: "user", value: user)) }
        if let tty {
            items += [(name: "tty", value: "true"), (name: "cols", value: "\(tty.columns)"), (name: "rows", value: "\(tty.rows)")]
        }
        if let timeoutMs { items.append((name: "timeoutMs", value: "\(timeoutMs)")) }
        if let id { items.append((name: "id", value: id)) }
        if detach { items.append((name: "detach", value: "true")) }
        return items + stream.items
    }
}
