/// A JSON value as it was written: integers stay exact, other numbers keep their text.
public enum JSONValue: Equatable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    /// A number that is no 64-bit integer, with the text it had.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    /// What error messages call it.
    var typeName: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .integer: "an integer"
        case .number: "a number that is no 64-bit integer"
        case .string: "a string"
        case .array: "a list"
        case .object: "an object"
        }
    }
}
