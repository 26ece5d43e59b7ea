import ExecboxModel

/// `GET /v1/sessions/{id}/attach?protocol=&offset=&flow=&stdin=`.
public struct AttachQuery: Equatable, Sendable {
    public var stream = StreamQuery()
    /// This connection may write to main's stdin.
    public var stdin = true

    public init() {}

    public init(_ items: [(name: String, value: String)]) throws(ExecboxError) {
        var query = QueryReader(items)
        stream = try StreamQuery(from: &query)
        if let stdin = try query.bool("stdin") { self.stdin = stdin }
        try query.finish()
    }

    public var items: [(name: String, value: String)] {
        stdin ? stream.items : stream.items + [(name: "stdin", value: "false")]
    }
}
