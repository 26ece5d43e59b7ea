import ExecboxModel

/// `GET /v1/sessions?status=&label.KEY=VALUE&limit=&cursor=`.
public struct ListSessionsQuery: Equatable, Sendable {
    public static let defaultLimit = 50

    /// Empty for all.
    public var statuses: [SessionStatus] = []
    /// All of them must match.
    public var labels: [String: String] = [:]
    public var limit = Self.defaultLimit
    /// What `nextCursor` said; its form is the service's.
    public var cursor: String?

    public init() {}

    public init(_ items: [(name: String, value: String)]) throws(ExecboxError) {
        var query = QueryReader(items)
        for text in query.all("status") {
            guard let status = SessionStatus(rawValue: text) else {
                let names = SessionStatus.allCases.map(\.rawValue).joined(separator: ", ")
                throw .invalid("status", "query parameter status must be one of \(names)")
            }
            if !statuses.contains(status) { statuses.append(status) }
        }
        for (key, value) in query.all(prefix: "label.") {
            let name = "label.\(key)"
            guard labels[key] == nil else { throw .invalid(name, "query parameter \(name) is given twice") }
            if let problem = FieldForm.problem(labelKey: key) ?? FieldForm.problem(labelValue: value) {
                throw .invalid(name, "query parameter \(name) \(problem)")
            }
            labels[key] = value
        }
        if let limit = try query.integer("limit", in: 1...200) { self.limit = Int(limit) }
        cursor = try query.text("cursor") { FieldForm.problem(text: $0, max: 512) }
        try query.finish()
    }

    /// The parameters as a client sends them.
    public var items: [(name: String, value: String)] {
        var items = statuses.map { (name: "status", value: $0.rawValue) }
        for (key, value) in labels.sorted(by: { $0.key < $1.key }) { items.append((name: "label.\(key)", value: value)) }
        if limit != Self.defaultLimit { items.append((name: "limit", value: "\(limit)")) }
        if let cursor { items.append((name: "cursor", value: cursor)) }
        return items
    }
}
