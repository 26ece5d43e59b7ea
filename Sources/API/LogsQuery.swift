import ExecboxModel

/// `GET /v1/sessions/{id}/logs?stream=&offset=&limit=&follow=`.
public struct LogsQuery: Equatable, Sendable {
    public enum Stream: String, Sendable, CaseIterable { case stdout, stderr, both }

    public var stream = Stream.both
    /// Counts stdout and stderr together, whatever `stream` says; nil if the caller named none.
    public var offset: UInt64?
    /// The most bytes to answer with; nil for all.
    public var limit: Int64?
    public var follow = false

    public init() {}

    public init(_ items: [(name: String, value: String)]) throws(ExecboxError) {
        var query = QueryReader(items)
        if let stream = try query.choice("stream", Stream.self) { self.stream = stream }
        if let offset = try query.integer("offset", in: 0...Int64.max) { self.offset = UInt64(offset) }
        limit = try query.integer("limit", in: 1...Int64.max)
        if let follow = try query.bool("follow") { self.follow = follow }
        try query.finish()
    }

    public var items: [(name: String, value: String)] {
        var items: [(name: String, value: String)] = []
        if stream != .both { items.append((name: "stream", value: stream.rawValue)) }
        if let offset { items.append((name: "offset", value: "\(offset)")) }
        if let limit { items.append((name: "limit", value: "\(limit)")) }
        if follow { items.append((name: "follow", value: "true")) }
        return items
    }
}
