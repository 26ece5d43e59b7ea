import ExecboxModel

/// `GET /v1/sessions/{id}/wait?timeoutMs=`.
public struct WaitQuery: Equatable, Sendable {
    public var timeoutMs: Int64 = 60_000

    public init() {}

    public init(_ items: [(name: String, value: String)]) throws(ExecboxError) {
        var query = QueryReader(items)
        if let timeout = try query.integer("timeoutMs", in: 0...600_000) { timeoutMs = timeout }
        try query.finish()
    }
}
