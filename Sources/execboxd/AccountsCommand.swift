import ArgumentParser
import ExecboxCore
import ExecboxModel

struct AccountsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "accounts", abstract: "Lists, makes and changes accounts.", subcommands: [List.self, Create.self, Update.self])

    private static let header = ["ID", "TIER", "EXPIRES", "CREATED", "EMAIL", "NAME"]

    private static func row(_ account: Account) -> [String] {
        [
            account.id.description, account.tier.name, account.tierExpiresAt?.text ?? "-", account.createdAt.text, account.email ?? "-",
            account.name,
        ]
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists accounts, oldest first.")

        @Option(help: "Only the account of this name.") var name: String?
        @Option(help: "Only the account with this e-mail address.") var email: String?

        func run() async throws {
            let (name, email) = (name, email)
            try await OperatorAccess.withAdministration { administration in
                var rows = [AccountsCommand.header]
                var cursor: AccountID?
                repeat {
                    let page = try await administration.accounts(name: name, email: email, after: cursor, limit: 200)
                    rows += page.elements.map(AccountsCommand.row)
                    cursor = page.next
                } while cursor != nil
                print(OperatorAccess.table(rows))
            }
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Makes an account; 'execboxd keys create' makes its keys.")

        @Option(help: "What it is called.") var name: String
        @Option(help: "Its e-mail address.") var email: String?
        @Option(help: "Its tier.") var tier = Tier.fallbackName
        @Option(help: "From when on it has the tier \(Tier.fallbackName) (RFC 3339).") var tierExpires: MomentArgument?

        func run() async throws {
            var change = AccountChange()
            change.name = name
            change.email = .some(email)
            change.tier = tier
            change.tierExpiresAt = .some(tierExpires?.value)
            try await OperatorAccess.withAdministration { [change] administration in
                let account = try await administration.createAccount(change, by: OperatorAccess.actor)
                print(OperatorAccess.table([AccountsCommand.header, AccountsCommand.row(account)]))
            }
        }
    }

    struct Update: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Changes an account's name, address or tier.")

        @Argument(help: "The account's id.") var id: String
        @Option(help: "A new name.") var name: String?
        @Option(help: "A new e-mail address.") var email: String?
        @Option(help: "A new tier, at once.") var tier: String?
        @Option(help: "From when on it has the tier \(Tier.fallbackName) (RFC 3339).") var tierExpires: MomentArgument?
        @Flag(help: "Its tier does not expire any more.") var tierForEver = false

        func validate() throws {
            if tierForEver, tierExpires != nil { throw ValidationError("give --tier-expires or --tier-for-ever, not both") }
        }

        func run() async throws {
            var change = AccountChange()
            change.name = name
            if let email { change.email = .some(email) }
            change.tier = tier
            if let tierExpires { change.tierExpiresAt = .some(tierExpires.value) }
            if tierForEver { change.tierExpiresAt = .some(nil) }
            try await OperatorAccess.withAdministration { [id, change] administration in
                let account = try await administration.updateAccount(id, change, by: OperatorAccess.actor)
                print(OperatorAccess.table([AccountsCommand.header, AccountsCommand.row(account)]))
            }
        }
    }
}
