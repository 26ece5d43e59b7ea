import ArgumentParser
import ExecboxAPI
import FoundationEssentials
import Glibc

/// `execbox-bench`: every figure that the project promises, each beside a peer's and the bare limit, on servers that `make bench` starts.
@main
struct ExecboxBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "execbox-bench", abstract: "Measures Execbox beside Docker.", subcommands: [BareServer.self, Measure.self],
        defaultSubcommand: Measure.self)
}

struct Measure: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Prints a table, and writes it as JSON.")

    @Option(help: "Rounds of every figure; the median of each side counts.")
    var rounds = 20
    @Option(help: "Only figures whose name begins so. May repeat.")
    var only: [String] = []
    @Option(help: "The file for the figures as JSON.")
    var json: String?

    func validate() throws {
        guard rounds > 0 else { throw ValidationError("--rounds has to be at least 1") }
    }

    func run() async throws {
        let setting = try Setting()
        let bareServer = try Program.spawn([setting.ourselves, "bare-server", "--port", "0"], standardOutput: 2)
        let idle = try Program.spawn([setting.busybox, "sleep", "1000000"], standardOutput: 2)
        defer {
            for pid in [bareServer, idle] {
                kill(pid, SIGKILL)
                waitpid(pid, nil, 0)
            }
        }
        var figures: [Figure] = []
        func measure(_ benchmark: Benchmark) async throws {
            guard only.isEmpty || only.contains(where: benchmark.name.hasPrefix) else { return }
            let isTerminal = isatty(STDERR_FILENO) == 1
            if !isTerminal { StandardError.write("    \(benchmark.name)\n") }
            figures.append(
                try await benchmark.run(rounds: rounds) { round in
                    if isTerminal { StandardError.write("\r\u{1B}[K    \(benchmark.name) \(round)/\(rounds)") }
                })
            if isTerminal { StandardError.write("\r\u{1B}[K") }
        }

        let memory = MemoryBenchmarks(setting: setting)
        try await measure(memory.server(bareServer: bareServer))
        try await measure(memory.agentDisk)
        try await measure(memory.agentReady)
        for benchmark in CreateBenchmarks(setting: setting).all { try await measure(benchmark) }
        try await setting.withSession { session in
            try await measure(try await memory.agent(in: session, idle: idle))
            try await setting.withContainer { container in
                let exec = ExecBenchmarks(
                    setting: setting, session: session, container: container, containerPID: try await setting.engine.pid(of: container))
                try await exec.prepare()
                for benchmark in exec.all { try await measure(benchmark) }
            }
        }
        for benchmark in LoadBenchmarks(setting: setting).all { try await measure(benchmark) }

        print(FigureTable(figures: figures).text, terminator: "")
        if let json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            try encoder.encode(figures).write(to: URL(filePath: json), options: .atomic)
        }
    }
}
