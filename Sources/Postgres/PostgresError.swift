/// What went wrong with the database, said twice: `description` for anybody, `debugDescription` for the log.
///
/// Only `debugDescription` holds text of the server, which can quote stored values.
package struct PostgresError: Error, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    /// What a caller can act upon.
    package enum Code: Hashable, Sendable {
        /// There is no server to be had. The statement was not sent.
        case unavailable
        /// Every connection was busy for as long as the caller was ready to wait. The statement was not sent.
        case exhausted
        /// The pool or connection was closed. The statement was not sent.
        case closed
        /// The connection broke under the statement: whether it took effect is not known.
        case connectionLost
        /// The statement ran into its deadline and was cancelled.
        case timeout
        /// The task was cancelled. Thrown instead of `CancellationError`.
        case cancelled
        /// The server refused the statement, which had no effect.
        case server(SQLState)
        /// A column was missing, NULL, of another type, or malformed; the statement itself succeeded.
        case decoding
        /// The statement returned another number of rows than the caller said it would.
        case rowCount
        /// The result is larger than the connection's `maximumResultBytes`.
        case resultTooLarge
        /// A parameter cannot be sent: text with a zero byte, or more than 65,535 of them.
        case invalidParameter
        /// A connection URL or a setting makes no sense.
        case configuration
        /// The statement uses what this library does not do (COPY).
        case unsupported
        /// A private cluster could not be made, started or stopped.
        case cluster
    }

    /// What to act upon.
    package let code: Code

    /// Set whenever the server said one, also for `connectionLost`, `timeout` and `cancelled`.
    package let sqlState: SQLState?

    /// The violated constraint, where there is one. A name out of the schema, never a value.
    package let constraint: String?

    /// The statement's text with `$n` in place of values.
    package internal(set) var sql: String?

    private let message: String

    init(_ code: Code, _ message: String, sqlState: SQLState? = nil, constraint: String? = nil, sql: String? = nil) {
        self.code = code
        self.message = message
        self.sqlState = sqlState
        self.constraint = constraint
        self.sql = sql
    }

    /// The same error under another code: the server's words stay in the debug text.
    func recoded(_ code: Code) -> PostgresError {
        PostgresError(code, self.message, sqlState: self.sqlState, constraint: self.constraint, sql: self.sql)
    }

    func withSQL(_ sql: String) -> PostgresError {
        var copy = self
        copy.sql = self.sql ?? sql
        return copy
    }

    /// Whether the server answered with exactly this SQLSTATE.
    package func isServer(_ state: SQLState) -> Bool { self.code == .server(state) }

    /// Whether the server answered with an error of this class, for example "23".
    package func isServer(class name: String) -> Bool {
        if case .server(let state) = self.code { return state.errorClass == name }
        return false
    }

    /// Safe to show: no values, no addresses, no words of the server.
    package var description: String {
        switch self.code {
        case .unavailable: "the database is not available"
        case .exhausted: "no database connection became free in time"
        case .closed: "the database connection is closed"
        case .connectionLost: "the database connection was lost"
        case .timeout: "the database did not answer in time"
        case .cancelled: "the database statement was cancelled"
        case .server(let state): "the database refused a statement (SQLSTATE \(state))"
        case .decoding: "a database column could not be read"
        case .rowCount: "a database statement returned an unexpected number of rows"
        case .resultTooLarge: "a database result is too large"
        case .invalidParameter: "a value cannot be sent to the database"
        case .configuration: "the database configuration is not valid"
        case .unsupported: "the database statement is not supported"
        case .cluster: "the private database cluster failed"
        }
    }

    /// Everything known; for logs that only operators read.
    package var debugDescription: String {
        var text = "PostgresError(\(self.code)): \(self.message)"
        if let sqlState { text += " [\(sqlState)]" }
        if let constraint { text += " constraint=\(constraint)" }
        if let sql { text += " sql=\(sql)" }
        return text
    }
}
