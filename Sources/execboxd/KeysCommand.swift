import ArgumentParser
import ExecboxCore
import ExecboxModel
import ExecboxPostgres
import Foundation

extension Scope: ExpressibleByArgument {}

struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "Makes, lists and revokes API keys.",
        subcommands: [Create.self, List.self, Revoke.self]
    )

    /// Runs `body` with the keys of the configured database.
    fileprivate static func withKeys(_ body: @escaping @Sendable (Keys) async throws -> Void) async throws {
        try await OperatorAccess.withDatabase { pool in
            try await body(Keys(store: KeyStore(database: pool), accounts: AccountStore(database: pool)))
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a key and prints it, alone, on standard output. It is shown this once only."
        )

        @Option(help: "What the key is for.") var name: String
        @Option(help: "The account that pays; it is made if there is none of this name.") var account = "default"
        @Option(help: "The tier of an account that is made.") var tier = "enterprise"
        @Option(
            name: .customLong("scope"),
            help: "\(Scope.allCases.map(\.rawValue).joined(separator: ", ")). May repeat; all but admin if none is given.")
        var scopes: [Scope] = []

        func validate() throws {
            guard (1...Keys.maxNameCharacters).contains(name.count) else {
                throw ValidationError("--name must have 1 to \(Keys.maxNameCharacters) characters")
            }
        }

        func run() async throws {
            let (name, account, tier) = (name, account, tier)
            let scopes = scopes.isEmpty ? Scope.standard : Set(scopes)
            try await KeysCommand.withKeys { keys in
                let (text, key) = try await keys.create(
                    name: name, accountName: account, tier: tier, scopes: scopes, by: OperatorAccess.actor)
                FileHandle.standardError.write(Data("key \(key.publicID) \"\(name)\" of account \(key.accountID)\n".utf8))
                print(text)
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists keys that were not revoked by their public ids, oldest first.")

        func run() async throws {
            try await KeysCommand.withKeys { keys in
                var rows = [["PUBLIC ID", "STATE", "LAST USED", "CREATED", "ACCOUNT", "NAME"]]
                for key in try await keys.list() {
                    let state = key.isValid(at: .now) ? "valid" : key.isActive ? "expired" : "off"
                    rows.append([
                        key.publicID, state, key.lastUsedAt?.text ?? "never", key.createdAt.text, key.accountID.description, key.name,
                    ])
                }
                print(OperatorAccess.table(rows))
            }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Revokes a key at once; it cannot be taken back.")

        @Argument(help: "The key, or its public id.") var key: String

        func run() async throws {
            let key = key
            try await KeysCommand.withKeys { keys in
                guard try await keys.revoke(key, by: OperatorAccess.actor) else {
                    throw ExecboxError(.notFound, "there is no such key, or it was revoked before")
                }
                print("revoked")
            }
        }
    }
}
