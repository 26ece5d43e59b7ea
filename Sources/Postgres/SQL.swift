/// A statement and its values. Write it as a literal: `"SELECT n FROM t WHERE id = \(id)"`.
///
/// `\(value)` becomes `$n` and the value travels beside the text; `\(sql)` splices another statement with its values;
/// `\(raw:)` and `\(identifier:)` are the only ways for a string to become text.
package struct SQL: Sendable, ExpressibleByStringInterpolation, CustomStringConvertible {
    /// The text as the server sees it, with `$1`, `$2`… for the values.
    package let text: String

    /// The values, `$1` first.
    package let parameters: [PostgresParameter]

    // The text between the parameters, one more than there are parameters: splicing has to renumber.
    fileprivate let fragments: [String]

    package init(stringLiteral value: String) {
        self.init(fragments: [value], parameters: [])
    }

    package init(stringInterpolation: StringInterpolation) {
        self.init(fragments: stringInterpolation.fragments, parameters: stringInterpolation.parameters)
    }

    /// Text that did not come from a literal; it must not hold anything a user wrote.
    package init(raw text: String) {
        self.init(fragments: [text], parameters: [])
    }

    private init(fragments: [String], parameters: [PostgresParameter]) {
        self.fragments = fragments
        self.parameters = parameters
        var text = fragments[0]
        for (index, fragment) in fragments.dropFirst().enumerated() {
            text += "$\(index + 1)"
            text += fragment
        }
        self.text = text
    }

    /// Several conditions or assignments as one: `conditions.joined(separator: " AND ")`.
    package static func joined(_ parts: [SQL], separator: String) -> SQL {
        var interpolation = StringInterpolation(literalCapacity: 0, interpolationCount: parts.count)
        for (index, part) in parts.enumerated() {
            if index > 0 { interpolation.appendLiteral(separator) }
            interpolation.appendInterpolation(part)
        }
        return SQL(stringInterpolation: interpolation)
    }

    /// The text, without values.
    package var description: String { self.text }

    /// Builds a statement from a literal.
    package struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var fragments: [String] = [""]
        fileprivate var parameters: [PostgresParameter] = []

        package init(literalCapacity: Int, interpolationCount: Int) {
            self.fragments.reserveCapacity(interpolationCount + 1)
            self.parameters.reserveCapacity(interpolationCount)
        }

        package mutating func appendLiteral(_ literal: String) {
            self.fragments[self.fragments.count - 1] += literal
        }

        /// Binds a value.
        package mutating func appendInterpolation(_ value: some PostgresEncodable) {
            self.parameters.append(value.postgresParameter)
            self.fragments.append("")
        }

        /// Binds a value or NULL. An overload of its own, or the compiler warns of every optional value.
        package mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value?) {
            self.parameters.append(value.postgresParameter)
            self.fragments.append("")
        }

        /// Splices a statement with its values.
        package mutating func appendInterpolation(_ sql: SQL) {
            self.appendLiteral(sql.fragments[0])
            self.parameters += sql.parameters
            self.fragments += sql.fragments.dropFirst()
        }

        /// Puts text into the statement as it is. Never for anything a user wrote.
        package mutating func appendInterpolation(raw text: String) {
            self.appendLiteral(text)
        }

        /// Puts a name of a table, column, channel… into the statement, quoted.
        package mutating func appendInterpolation(identifier name: String) {
            self.appendLiteral("\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\"")
        }
    }
}
