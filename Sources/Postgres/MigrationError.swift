/// Why the schema was not brought up to date. Everything before the file in question is applied and stays.
package enum MigrationError: Error, Sendable, CustomStringConvertible {
    /// The directory or a file cannot be read.
    case unreadable(String)
    /// A `.sql` file is not called `NNNN_name.sql`, or shares its number with another.
    case malformedName(String)
    /// A file is not what it was when it was applied.
    case changed(String)
    /// The database has a migration that there is no file for: the program is older than the database.
    case missing(String)
    /// A new file has a lower number than one that is applied.
    case outOfOrder(String)
    /// A file ends its transaction itself, so a failure could leave half of it.
    case endsTransaction(String)
    /// A file's statements failed; nothing of that file is left.
    case failed(String, PostgresError)
    /// The database could not be used at all.
    case database(PostgresError)

    /// For operators: names files and quotes the server.
    package var description: String {
        switch self {
        case .unreadable(let what): "migrations cannot be read: \(what)"
        case .malformedName(let what): "migration \(what)"
        case .changed(let name): "migration \(name) was changed after it was applied"
        case .missing(let name): "migration \(name) is applied but has no file"
        case .outOfOrder(let name): "migration \(name) comes before one that is applied already"
        case .endsTransaction(let name): "migration \(name) must not end its transaction"
        case .failed(let name, let error): "migration \(name) failed: \(error.debugDescription)"
        case .database(let error): "migrations cannot be applied: \(error.debugDescription)"
        }
    }
}
