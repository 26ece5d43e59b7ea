import ExecboxModel

/// A JSON value and where in the body it stands, so that every refusal names its path.
public struct JSONReader: Sendable {
    public let value: JSONValue
    /// `resources.memoryMB`, `files[0].path`; empty for the body itself.
    public let path: String

    public init(_ value: JSONValue, path: String = "") {
        self.value = value
        self.path = path
    }

    private var name: String { path.isEmpty ? "the body" : path }

    /// The refusal of this value.
    public func invalid(_ message: String) -> ExecboxError { .invalid(path, "\(name) \(message)") }

    func mismatch(_ expected: String) -> ExecboxError { invalid("must be \(expected), not \(value.typeName)") }

    public func string() throws(ExecboxError) -> String {
        guard case .string(let text) = value else { throw mismatch("a string") }
        return text
    }

    public func bool() throws(ExecboxError) -> Bool {
        guard case .bool(let flag) = value else { throw mismatch("a boolean") }
        return flag
    }

    public func integer(in range: ClosedRange<Int64>) throws(ExecboxError) -> Int64 {
        guard case .integer(let number) = value else { throw mismatch("an integer") }
        guard range.contains(number) else {
            if range.upperBound == .max { throw invalid("must be at least \(range.lowerBound), not \(number)") }
            throw invalid("must be between \(range.lowerBound) and \(range.upperBound), not \(number)")
        }
        return number
    }

    public func list(max: Int) throws(ExecboxError) -> [JSONReader] {
        guard case .array(let elements) = value else { throw mismatch("a list") }
        guard elements.count <= max else { throw invalid("has \(elements.count) elements, at most \(max) are taken") }
        return elements.enumerated().map { JSONReader($1, path: "\(path)[\($0)]") }
    }

    /// One of an enumeration's raw values.
    public func choice<Choice: RawRepresentable & CaseIterable>(_: Choice.Type) throws(ExecboxError) -> Choice
    where Choice.RawValue == String {
        let text = try string()
        guard let choice = Choice(rawValue: text) else {
            throw invalid("must be one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return choice
    }

    public func object() throws(ExecboxError) -> JSONObjectReader {
        guard case .object(let members) = value else { throw mismatch("an object") }
        return JSONObjectReader(members, path: path)
    }
}
