import ExecboxAPI
import ExecboxClient

/// Running a command in a sandbox that is there, and reading what it writes.
struct ExecBenchmarks {
    let setting: Setting
    let session: SessionBody
    /// The peer's sandbox: a container of the same image.
    let container: String

    private static let streamBytes = 1 << 30
    private static let scriptLineCount = 300_000
    private static let lineCount = 1_000_000
    private static let bufferedLineCount = 2_000_000

    var all: [Benchmark] { [roundTrip, commandLine, stream, lines, bufferedLines, scriptLines] }

    /// A command's whole life as a program that keeps its connection sees it; a mean of ten.
    private var roundTrip: Benchmark {
        let command = ["true"]
        return Benchmark(
            name: "exec-roundtrip", unit: .milliseconds, goal: .ratio(10),
            ours: {
                try await milliseconds {
                    for _ in 0..<10 {
                        let result = try await setting.client.execs.run(in: session.id, ExecBody(command: command))
                        guard result.exitCode == 0 else { throw Program.Failure(description: "the exec ended with \(result)") }
                    }
                } / 10
            },
            peer: .init(name: "Docker Engine API: create, start, EOF, inspect") {
                try await milliseconds { for _ in 0..<10 { try await setting.engine.exec(in: container, command) } } / 10
            },
            limit: spawn)
    }

    /// The same from a shell: a new process and a new connection each time.
    private var commandLine: Benchmark {
        Benchmark(
            name: "exec-cli", unit: .milliseconds, goal: .ratio(1),
            ours: { try await Program.run([setting.execbox, "exec", session.id, "--", "true"]).total.milliseconds },
            peer: .init(name: "docker exec, client \(setting.dockerVersion)") {
                try await Program.run([setting.docker, "exec", container, "true"]).total.milliseconds
            },
            limit: spawn)
    }

    private var spawn: Benchmark.Side {
        .init(name: "spawn") { try await Program.run([setting.busybox, "true"]).total.milliseconds }
    }

    private var stream: Benchmark {
        let command = ["dd", "if=/dev/zero", "bs=65536", "count=\(Self.streamBytes / 65536)", "status=none"]
        return throughput("exec-stream", goal: 1, bytes: Self.streamBytes, command, onTheHost: [setting.busybox] + command)
    }

    /// As a program that flushes every line, as fast as can be (lines.c).
    private var lines: Benchmark {
        let arguments = ["\(Self.lineCount)", "flush"]
        return throughput(
            "exec-lines", goal: 5, bytes: Self.lineCount * 100, ["lines"] + arguments, onTheHost: [setting.lines] + arguments)
    }

    /// As the C library prints lines into a pipe: 4 KiB a write.
    private var bufferedLines: Benchmark {
        let count = "\(Self.bufferedLineCount)"
        return throughput(
            "exec-lines-buffered", goal: 1, bytes: Self.bufferedLineCount * 100, ["lines", count], onTheHost: [setting.lines, count])
    }

    /// As a script flushes them, with a little work between two lines.
    private var scriptLines: Benchmark {
        let line = String(repeating: "x", count: 99)
        let command = ["sh", "-c", "i=0; while [ $i -lt \(Self.scriptLineCount) ]; do echo \(line); i=$((i+1)); done"]
        return throughput(
            "exec-lines-script", goal: 1, bytes: Self.scriptLineCount * 100, command, onTheHost: [setting.busybox] + command)
    }

    /// Through both command lines into the same sink. The limit is the same command on the host, straight into that sink.
    private func throughput(_ name: String, goal: Double, bytes: Int, _ command: [String], onTheHost local: [String]) -> Benchmark {
        func rate(_ arguments: [String]) async throws -> Double {
            let outcome = try await Program.run(arguments)
            guard outcome.bytes == bytes else { throw Program.Failure(description: "\(outcome.bytes) of \(bytes) bytes came") }
            return Double(bytes) / 1e6 / (outcome.total.milliseconds / 1000)
        }
        return Benchmark(
            name: name, unit: .megabytesPerSecond, goal: .ratio(goal),
            ours: { try await rate([setting.execbox, "exec", session.id, "--"] + command) },
            peer: .init(name: "docker exec, client \(setting.dockerVersion)") {
                try await rate([setting.docker, "exec", container] + command)
            },
            limit: .init(name: "pipe") { try await rate(local) })
    }
}
