import ArgumentParser
import ExecboxClient

/// `execbox kill SESSION…`.
struct KillCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "kill", abstract: "Ends sessions at once.", aliases: ["rm"])

    @OptionGroup var server: ServerOptions
    @Argument(help: "Ids of sessions.")
    var sessions: [String]

    func run() async throws {
        let client = try server.client()
        for id in sessions {
            _ = try await client.sessions.kill(id)
            try await StandardOutput().write("\(id)\n")
        }
    }
}
