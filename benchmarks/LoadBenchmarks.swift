import ExecboxAPI
import ExecboxClient
import ExecboxModel

/// Many at once, and a reader that does not read.
struct LoadBenchmarks {
    let setting: Setting

    var all: [Benchmark] { [concurrentExecs, concurrentSessions, stuckReaderMemory, stuckReaderKill] }

    /// 64 execs of one session at the same moment; each has to give its own output and exit code.
    private var concurrentExecs: Benchmark {
        Benchmark(
            name: "execs-64", unit: .errors, goal: .atMost(0),
            ours: {
                try await setting.withSession { session in
                    await failures(of: 64) { number in
                        let body = ExecBody(command: ["sh", "-c", "cat /etc/passwd >&2; echo \(number); exit \(number)"])
                        let result = try await setting.client.execs.run(in: session.id, body)
                        return result.exitCode == Int32(number) && result.stdout == Array("\(number)\n".utf8) && !result.stderr.isEmpty
                    }
                }
            })
    }

    /// 20 sessions at the same moment, from create to the end of their output.
    private var concurrentSessions: Benchmark {
        Benchmark(
            name: "sessions-20", unit: .errors, goal: .atMost(0),
            ours: {
                var resources = RequestedResources()
                resources.memoryMB = 64
                return await failures(of: 20) { [resources] number in
                    var body = CreateSessionBody(image: setting.image)
                    body.command = ["sh", "-c", "echo \(number); exit \(number)"]
                    body.network = NetworkMode.none
                    body.resources = resources
                    let session = try await setting.client.sessions.create(body, waitSeconds: 60)
                    let end = try await setting.client.sessions.wait(session.id)
                    let log = try await setting.client.sessions.logs(session.id)
                    return end.exitCode == Int32(number) && log.bytes == Array("\(number)\n".utf8)
                }
            }, settle: { try await setting.waitUntilQuiet() })
    }

    /// What the server grows by while one stream's reader takes nothing and its command has all the output in the world.
    private var stuckReaderMemory: Benchmark {
        Benchmark(
            name: "stuck-reader", unit: .megabytes, goal: .atMost(1),
            ours: {
                let before = try residentMegabytes(of: setting.serverPID)
                return try await withStuckReader { _ in max(0, try residentMegabytes(of: setting.serverPID) - before) }
            })
    }

    /// How long a session's end takes while a reader is stuck.
    private var stuckReaderKill: Benchmark {
        Benchmark(
            name: "stuck-kill", unit: .milliseconds, goal: .atMost(1000),
            ours: {
                try await withStuckReader { session in
                    try await milliseconds { _ = try await setting.client.sessions.kill(session.id) }
                }
            },
            peer: .init(name: "Docker Engine API: kill, given up after \(DockerEngine.killPatience)", rounds: 2) {
                try await setting.withContainer(command: Self.flood) { try await setting.engine.killWithStuckReader($0) }
            },
            settle: { try await setting.waitUntilQuiet() })
    }

    private static let flood = ["dd", "if=/dev/zero", "bs=65536"]

    private func withStuckReader<Result>(_ body: (SessionBody) async throws -> Result) async throws -> Result {
        try await setting.withSession { session in
            var query = ExecQuery()
            query.id = "flood"
            query.command = Self.flood
            let stream = try await setting.client.execs.stream(in: session.id, query)
            try await waitUntilHeld("flood", in: session)
            let result = try await body(session)
            await stream.detach()
            return result
        }
    }

    /// Until the command has written nothing for half a second: every buffer on the way is full.
    private func waitUntilHeld(_ id: String, in session: SessionBody) async throws {
        var last: Int64 = -1
        while true {
            let now = try await setting.client.execs.get(id, in: session.id).stdoutBytes
            if now > 0, now == last { return }
            last = now
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    /// How many of `count` at once went wrong; each says on standard error how.
    private func failures(of count: Int, _ work: @escaping @Sendable (Int) async throws -> Bool) async -> Double {
        await withTaskGroup(of: Bool.self) { group in
            for number in 0..<count {
                group.addTask {
                    do {
                        return try await work(number)
                    } catch {
                        StandardError.write("    \(error)\n")
                        return false
                    }
                }
            }
            return await Double(group.reduce(0) { $0 + ($1 ? 0 : 1) })
        }
    }
}
