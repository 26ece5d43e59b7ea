import ExecboxModel

/// `GET /v1/account/audit?limit=&cursor=`.
public struct AuditQuery: Equatable, Sendable {
    public var limit = 50
    /// The last entry's id of the page before.
    public var cursor: Int64?

    public init(_ items: [(name: String, value: String)]) throws(ExecboxError) {
        var query = QueryReader(items)
        if let limit = try query.integer("limit", in: 1...200) { self.limit = Int(limit) }
        cursor = try query.integer("cursor", in: 1...Int64.max)
        try query.finish()
    }
}
