import ExecboxModel

/// Takes a query's parameters one by one; unknown ones and repeated single-valued ones are refused by name.
public struct QueryReader: Sendable {
    private let items: [(name: String, value: String)]
    private var taken: Set<String> = []

    /// - Parameter items: percent-decoded, in their order.
    public init(_ items: [(name: String, value: String)]) { self.items = items }

    /// All values of a parameter that may repeat.
    public mutating func all(_ name: String) -> [String] {
        taken.insert(name)
        return items.filter { $0.name == name }.map(\.value)
    }

    /// All parameters that begin with `prefix`, without it.
    public mutating func all(prefix: String) -> [(name: String, value: String)] {
        let found = items.filter { $0.name.hasPrefix(prefix) }
        taken.formUnion(found.map(\.name))
        return found.map { (String($0.name.dropFirst(prefix.count)), $0.value) }
    }

    /// The one value of a parameter, or nil if it is absent.
    public mutating func text(_ name: String) throws(ExecboxError) -> String? {
        let values = all(name)
        guard values.count <= 1 else { throw .invalid(name, "query parameter \(name) is given \(values.count) times") }
        return values.first
    }

    /// The one value, after a check that answers the rest of the sentence "query parameter <name> …".
    mutating func text(_ name: String, problem: (String) -> String?) throws(ExecboxError) -> String? {
        guard let text = try text(name) else { return nil }
        if let problem = problem(text) { throw .invalid(name, "query parameter \(name) \(problem)") }
        return text
    }

    public mutating func bool(_ name: String) throws(ExecboxError) -> Bool? {
        switch try text(name) {
        case nil: return nil
        case "true", "1": return true
        case "false", "0": return false
        default: throw .invalid(name, "query parameter \(name) must be true or false")
        }
    }

    public mutating func integer(_ name: String, in range: ClosedRange<Int64>) throws(ExecboxError) -> Int64? {
        guard let text = try text(name) else { return nil }
        guard let number = Self.decimal(text) else { throw .invalid(name, "query parameter \(name) must be an integer") }
        guard range.contains(number) else {
            let bounds = range.upperBound == .max ? "at least \(range.lowerBound)" : "between \(range.lowerBound) and \(range.upperBound)"
            throw .invalid(name, "query parameter \(name) must be \(bounds), not \(number)")
        }
        return number
    }

    public mutating func choice<Choice: RawRepresentable & CaseIterable>(_ name: String, _: Choice.Type) throws(ExecboxError) -> Choice?
    where Choice.RawValue == String {
        guard let text = try text(name) else { return nil }
        guard let choice = Choice(rawValue: text) else {
            let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw .invalid(name, "query parameter \(name) must be one of \(names)")
        }
        return choice
    }

    public func finish() throws(ExecboxError) {
        guard let unknown = items.first(where: { !taken.contains($0.name) })?.name else { return }
        throw .invalid(unknown, "unknown query parameter \(unknown)")
    }

    private static func decimal(_ text: String) -> Int64? {
        text.utf8.first == UInt8(ascii: "+") ? nil : Int64(text)
    }
}
