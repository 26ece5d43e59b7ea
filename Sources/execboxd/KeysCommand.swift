import ArgumentParser
import ExecboxCore
import ExecboxModel
import ExecboxPostgres
import Foundation
import Logging

struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "Makes, lists and revokes API keys.",
        subcommands: [Create.self, List.self, Revoke.self]
    )

    /// Runs `body` with the keys of the configured database.
    fileprivate static func withKeys(_ body: @escaping @Sendable (Keys) async throws -> Void) async throws {
        try await reporting {
            let configuration = try ServerConfiguration()
            var log = configuration.logger()
            log.logLevel = max(log.logLevel, .warning)
            let database = try await configuration.database(log)
            try await configuration.prepareSchema(database, log)
            try await PostgresPool.with(database, logger: log) { pool in
                try await body(Keys(store: KeyStore(database: pool)))
            }
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a key and prints it, alone, on standard output. It is shown this once only."
        )

        @Option(help: "What the key is for.") var name: String
        @Option(help: "The account that pays; it is made if there is none of this name.") var account = "default"

        func run() async throws {
            let (name, account) = (name, account)
            try await KeysCommand.withKeys { keys in
                let (text, row) = try await keys.create(name: name, accountName: account)
                FileHandle.standardError.write(Data("key \(row.publicID) \"\(name)\" of account \(row.accountID)\n".utf8))
                print(text)
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists keys by their public ids, oldest first.")

        func run() async throws {
            try await KeysCommand.withKeys { keys in
                print("PUBLIC ID     STATE    LAST USED                 CREATED                   NAME")
                for row in try await keys.list() {
                    let state = row.revokedAt != nil ? "revoked" : row.isValid(at: .now) ? "valid" : "expired"
                    let used = row.lastUsedAt?.text ?? "never"
                    print(
                        row.publicID.padding(toLength: 14, withPad: " ", startingAt: 0)
                            + state.padding(toLength: 9, withPad: " ", startingAt: 0)
                            + used.padding(toLength: 26, withPad: " ", startingAt: 0)
                            + row.createdAt.text.padding(toLength: 26, withPad: " ", startingAt: 0) + row.name
                    )
                }
            }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Revokes a key at once; it cannot be taken back.")

        @Argument(help: "The key, or its public id.") var key: String

        func run() async throws {
            let key = key
            try await KeysCommand.withKeys { keys in
                guard try await keys.revoke(key) else {
                    throw ExecboxError(.notFound, "there is no such key, or it was revoked before")
                }
                print("revoked")
            }
        }
    }
}
