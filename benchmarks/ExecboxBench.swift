import ArgumentParser

/// `execbox-bench`: every figure that the project promises, each beside a peer's and the bare limit, on servers that `make bench` starts.
@main
struct ExecboxBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "execbox-bench", abstract: "Measures Execbox beside Docker.", subcommands: [BareServer.self, Measure.self],
        defaultSubcommand: Measure.self)
}
