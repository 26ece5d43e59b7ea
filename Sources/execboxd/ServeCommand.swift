import ArgumentParser

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serves the API until SIGTERM or SIGINT; sandboxes live on.",
        discussion: "Environment:\n\n\(ServerConfiguration.variables)"
    )

    func run() async throws {
        try await reporting {
            let assembly = try await ServerAssembly(try ServerConfiguration())
            try await assembly.run()
        }
    }
}
