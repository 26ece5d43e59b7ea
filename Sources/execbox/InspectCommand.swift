import ArgumentParser
import ExecboxAPI
import ExecboxClient

/// `execbox inspect SESSION…`.
struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "inspect", abstract: "Prints session objects as JSON.")

    @OptionGroup var server: ServerOptions
    @Argument(help: "Ids of sessions.")
    var sessions: [String]

    func run() async throws {
        let client = try server.client()
        for id in sessions { try await StandardOutput().write(JSONText.pretty(try await client.sessions.get(id))) }
    }
}
