import ArgumentParser
import ExecboxPostgres

struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Brings the database's schema up to date.",
        discussion: "Several at once are safe: one migrates, the others wait. A migration that was changed after it was applied is refused."
    )

    func run() async throws {
        try await reporting {
            let configuration = try ServerConfiguration()
            let log = configuration.logger()
            let database = try await configuration.database(log)
            let applied = try await Migrator(directory: configuration.migrations, logger: log).migrate(database)
            for migration in applied { print("applied \(migration.name)") }
            if applied.isEmpty { print("nothing to apply") }
        }
    }
}
