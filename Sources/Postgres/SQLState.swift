/// The five characters by which PostgreSQL names an error: two of class, three of detail.
package struct SQLState: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: String

    package init(rawValue: String) {
        self.rawValue = rawValue
    }

    /// The first two characters, shared by all errors of a kind ("23" for every integrity violation).
    package var errorClass: String { String(self.rawValue.prefix(2)) }

    package var description: String { self.rawValue }

    package static let uniqueViolation = SQLState(rawValue: "23505")
    package static let foreignKeyViolation = SQLState(rawValue: "23503")
    package static let notNullViolation = SQLState(rawValue: "23502")
    package static let checkViolation = SQLState(rawValue: "23514")
    package static let serializationFailure = SQLState(rawValue: "40001")
    package static let deadlockDetected = SQLState(rawValue: "40P01")
    package static let queryCanceled = SQLState(rawValue: "57014")
    package static let lockNotAvailable = SQLState(rawValue: "55P03")
    package static let undefinedTable = SQLState(rawValue: "42P01")
    package static let invalidStatementName = SQLState(rawValue: "26000")
    package static let featureNotSupported = SQLState(rawValue: "0A000")

    /// The transaction lost a race that it may win when run again from its start.
    var isRetryable: Bool { self == .serializationFailure || self == .deadlockDetected }

    /// The server ended the session with this error: classes 08 (connection), and 57P0x, 25P03 (it hung up on us).
    var endsConnection: Bool {
        self.errorClass == "08" || self.rawValue.hasPrefix("57P0") || self.rawValue == "25P03"
    }
}
