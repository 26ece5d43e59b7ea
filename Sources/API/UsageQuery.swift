import ExecboxModel

/// `?days=&key_id=` or `&label.NAME=VALUE` of the usage reports; an export's `format` and `by` too.
public struct UsageQuery: Equatable, Sendable {
    public enum Format: String, CaseIterable, Sendable {
        case json, csv
    }

    public enum Grouping: String, CaseIterable, Sendable {
        case day, session
    }

    public struct Label: Equatable, Sendable {
        public var name: String
        public var value: String
    }

    public var days: Int
    public var keyID: String?
    public var label: Label?
    public var format = Format.json
    public var grouping = Grouping.day

    /// Of `GET /v1/account/usage/enhanced`.
    public static func enhanced(_ items: [(name: String, value: String)]) throws(ExecboxError) -> UsageQuery {
        try UsageQuery(items, defaultDays: 7, maxDays: 90, isExport: false)
    }

    /// Of `GET /v1/account/usage/export`.
    public static func export(_ items: [(name: String, value: String)]) throws(ExecboxError) -> UsageQuery {
        try UsageQuery(items, defaultDays: 30, maxDays: 365, isExport: true)
    }

    private init(_ items: [(name: String, value: String)], defaultDays: Int, maxDays: Int64, isExport: Bool) throws(ExecboxError) {
        var query = QueryReader(items)
        days = try query.integer("days", in: 1...maxDays).map(Int.init) ?? defaultDays
        keyID = try query.text("key_id")
        let labels = query.all(prefix: "label.")
        if let first = labels.first {
            if let problem = FieldForm.problem(labelKey: first.name) {
                throw .invalid("label.\(first.name)", "query parameter label.\(first.name) \(problem)")
            }
            if let problem = FieldForm.problem(labelValue: first.value) {
                throw .invalid("label.\(first.name)", "query parameter label.\(first.name) \(problem)")
            }
            // Sums are kept for single labels.
            guard labels.count == 1, keyID == nil else {
                throw .invalid("label.\(labels.last?.name ?? "")", "give one label, or key_id, or neither")
            }
            label = Label(name: first.name, value: first.value)
        }
        if isExport {
            format = try query.choice("format", Format.self) ?? .json
            grouping = try query.choice("by", Grouping.self) ?? .day
        }
        try query.finish()
    }
}
