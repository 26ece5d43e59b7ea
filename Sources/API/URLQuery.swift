import ExecboxModel

/// `GET /v1/sessions/{id}/url?port=`.
public struct URLQuery: Equatable, Sendable {
    public var port: UInt16

    public init(port: UInt16) { self.port = port }

    public init(_ items: [(name: String, value: String)]) throws(ExecboxError) {
        var query = QueryReader(items)
        guard let port = try query.integer("port", in: 1...65_535) else { throw .invalid("port", "query parameter port is required") }
        self.port = UInt16(port)
        try query.finish()
    }
}
