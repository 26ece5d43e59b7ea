import ArgumentParser
import ExecboxCore
import ExecboxModel
import ExecboxPostgres
import Foundation
import Logging

/// What the subcommands of operators work with: the configured database, and who runs them.
enum OperatorAccess {
    /// Runs `body` with the configured database, brought up to date; whatever it throws is reported on standard error.
    static func withDatabase(_ body: @escaping @Sendable (PostgresPool) async throws -> Void) async throws {
        try await reporting {
            let configuration = try ServerConfiguration()
            var log = configuration.logger()
            log.logLevel = max(log.logLevel, .warning)
            let database = try await configuration.database(log)
            try await configuration.prepareSchema(database, log)
            try await PostgresPool.with(database, logger: log) { pool in try await body(pool) }
        }
    }

    static func withAdministration(_ body: @escaping @Sendable (Administration) async throws -> Void) async throws {
        try await withDatabase { try await body(Administration(database: $0)) }
    }

    /// For the audit log.
    static var actor: AuditActor {
        let environment = ProcessInfo.processInfo.environment
        let name = environment["SUDO_USER"] ?? ProcessInfo.processInfo.userName
        return .operator(name.isEmpty ? "unknown" : name)
    }

    /// A table: columns as wide as their widest cell, two blanks apart.
    static func table(_ rows: [[String]]) -> String {
        guard let columns = rows.map(\.count).max() else { return "" }
        let widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
        return rows.map { row in
            let cells = row.enumerated().map { index, cell in
                index == row.count - 1 ? cell : cell.padding(toLength: widths[index] + 2, withPad: " ", startingAt: 0)
            }
            return cells.joined()
        }.joined(separator: "\n")
    }
}

/// A limit on a command line: a number, or `none`.
struct LimitArgument: ExpressibleByArgument {
    var value: Int64?

    init?(argument: String) {
        if argument == "none" { return }
        guard let number = Int64(argument), number >= 0 else { return nil }
        value = number
    }
}

/// A moment on a command line, as RFC 3339.
struct MomentArgument: ExpressibleByArgument {
    var value: Timestamp

    init?(argument: String) {
        guard let value = Timestamp(argument) else { return nil }
        self.value = value
    }
}
