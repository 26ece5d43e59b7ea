import ArgumentParser
import ExecboxClient

/// `execbox stop SESSION…`.
struct StopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "Asks sessions to end, and kills those that do not in time.")

    @OptionGroup var server: ServerOptions
    @Option(name: .shortAndLong, help: "Time between the signal and the kill.")
    var time: DurationArgument = .init(milliseconds: 10_000)
    @Argument(help: "Ids of sessions.")
    var sessions: [String]

    func run() async throws {
        let client = try server.client()
        for id in sessions {
            _ = try await client.sessions.stop(id, graceMs: time.milliseconds)
            try await StandardOutput().write("\(id)\n")
        }
    }
}
