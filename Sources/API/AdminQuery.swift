import ExecboxModel

/// Filters and pages of the lists under `/v1/admin`.
public struct AdminQuery: Equatable, Sendable {
    public var limit = 50
    public var cursor: String?
    public var name: String?
    public var email: String?
    public var status: DecideBody.Status?

    /// - Parameter filters: those of `name`, `email` and `status` that the list has.
    public init(_ items: [(name: String, value: String)], filters: Set<String> = []) throws(ExecboxError) {
        var query = QueryReader(items)
        if let limit = try query.integer("limit", in: 1...200) { self.limit = Int(limit) }
        func problem(_ text: String) -> String? { FieldForm.problem(label: text, max: 255, mayBeEmpty: true) }
        cursor = try query.text("cursor", problem: problem)
        if filters.contains("name") { name = try query.text("name", problem: problem) }
        if filters.contains("email") { email = try query.text("email", problem: problem) }
        if filters.contains("status") { status = try query.choice("status", DecideBody.Status.self) }
        try query.finish()
    }

    /// A cursor that is a number.
    public var number: Int64? {
        get throws(ExecboxError) {
            guard let cursor else { return nil }
            guard let number = Int64(cursor) else { throw .invalid("cursor", "cursor is not one that this server made") }
            return number
        }
    }
}
