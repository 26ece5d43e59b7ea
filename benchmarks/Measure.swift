import ArgumentParser
import ExecboxAPI
import FoundationEssentials
import Glibc

/// `execbox-bench measure`: every benchmark, one after the other.
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
        let bareServer = try Program.spawn([setting.ourselves, "bare-server", "--port", "\(BareServer.port)"], standardOutput: 2)
        let idle = try Program.spawn([setting.busybox, "sleep", "1000000"], standardOutput: 2)
        defer {
            for pid in [bareServer, idle] {
                kill(pid, SIGKILL)
                waitpid(pid, nil, 0)
            }
        }
        try await BareServer.waitUntilServing()
        var figures: [Figure] = []
        var isComplete = true
        func measure(_ benchmark: Benchmark) async {
            guard only.isEmpty || only.contains(where: benchmark.name.hasPrefix) else { return }
            let isTerminal = isatty(STDERR_FILENO) == 1
            if !isTerminal { StandardError.write("    \(benchmark.name)\n") }
            defer { if isTerminal { StandardError.write("\r\u{1B}[K") } }
            do {
                figures.append(
                    try await benchmark.run(rounds: rounds) { round in
                        if isTerminal { StandardError.write("\r\u{1B}[K    \(benchmark.name) \(round)/\(rounds)") }
                    })
            } catch {
                // The others' figures are not to be lost for it.
                isComplete = false
                StandardError.write("\n    \(benchmark.name) could not be measured: \(error)\n")
            }
        }

        let memory = MemoryBenchmarks(setting: setting)
        await measure(memory.server(bareServer: bareServer))
        await measure(memory.agentDisk)
        await measure(memory.agentReady)
        for benchmark in CreateBenchmarks(setting: setting).all { await measure(benchmark) }
        try await setting.withSession { session in
            await measure(try await memory.agent(in: session, idle: idle))
            try await setting.withContainer { container in
                let exec = ExecBenchmarks(setting: setting, session: session, container: container)
                for benchmark in exec.all { await measure(benchmark) }
            }
        }
        if only.isEmpty || FileBenchmarks.names.contains(where: { name in only.contains(where: name.hasPrefix) }) {
            try await FileBenchmarks.withFile { file in
                // In the account that `curl` has the key of, with room on the disk for the file twice.
                try await setting.withSession(key: setting.apiKey, diskMB: 4096) { session in
                    try await setting.withContainer { container in
                        let files = FileBenchmarks(setting: setting, session: session, container: container, file: file)
                        try await files.prepare()
                        for benchmark in files.all { await measure(benchmark) }
                    }
                }
            }
        }
        for benchmark in LoadBenchmarks(setting: setting).all { await measure(benchmark) }
        let api = APIBenchmarks(setting: setting)
        try await setting.withSession(key: setting.apiKey) { session in
            let keys = try await setting.apiKeys(100)
            await measure(api.get(keys: 1, of: session, keys: keys))
            await measure(api.get(keys: 100, of: session, keys: keys))
            await measure(api.latency(of: session, key: keys[0]))
        }
        await measure(api.listPage)
        await measure(api.usageReport)

        print(FigureTable(figures: figures).text, terminator: "")
        if let json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            try encoder.encode(figures).write(to: URL(filePath: json), options: .atomic)
        }
        if !isComplete { throw ExitCode.failure }
    }
}
