import ArgumentParser

/// The server's command line: one file a subcommand.
@main
struct Execboxd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "execboxd",
        abstract: "Runs commands in throw-away sandboxes for callers who hold an API key.",
        discussion: """
            Configuration comes from the environment; `execboxd help serve` lists the variables. Logs are JSON lines on standard error.
            """,
        version: ServerConfiguration.version,
        subcommands: [
            ServeCommand.self, MigrateCommand.self, HostSetupCommand.self, AccountsCommand.self, KeysCommand.self, TiersCommand.self,
            PricesCommand.self, DoctorCommand.self,
        ]
    )
}
