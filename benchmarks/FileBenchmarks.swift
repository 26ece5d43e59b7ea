import ExecboxAPI
import ExecboxClient
import Foundation

/// Files into a sandbox and out of it again, beside `docker cp` of the same file.
struct FileBenchmarks: Sendable {
    static let names = ["upload", "download", "file-memory", "list-10000"]
    private static let bytes = 1 << 30
    private static let entries = 10_000

    let setting: Setting
    let session: SessionBody
    /// The peer's sandbox: a container of the same image.
    let container: String
    /// A file of the host's, of bytes that are all different.
    let file: String

    /// Removed again when `body` ends.
    static func withFile<Result>(_ body: (String) async throws -> Result) async throws -> Result {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("bench-\(UUID().uuidString).bin").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        _ = try await Program.run(["dd", "if=/dev/urandom", "of=\(path)", "bs=1048576", "count=\(bytes >> 20)", "status=none"])
        return try await body(path)
    }

    func prepare() async throws {
        let command = ["sh", "-c", "mkdir /tmp/many && cd /tmp/many && i=0; while [ $i -lt \(Self.entries) ]; do : >$i; i=$((i+1)); done"]
        _ = try await ExecboxClient(url: setting.url, apiKey: setting.apiKey).execs.run(in: session.id, ExecBody(command: command))
    }

    var all: [Benchmark] { [upload, download, memory, list] }

    private var upload: Benchmark {
        Benchmark(
            name: "upload", unit: .megabytesPerSecond, goal: .ratio(1.5),
            ours: { try await rate(curl(["--request", "POST", "--upload-file", file], "path=/tmp/up")) },
            peer: .init(name: "docker cp, client \(setting.dockerVersion)") {
                try await rate([setting.docker, "cp", "--quiet", file, "\(container):/tmp/up"])
            }, rounds: 5)
    }

    private var download: Benchmark {
        Benchmark(
            name: "download", unit: .megabytesPerSecond, goal: .ratio(1.5),
            ours: { try await rate(curl(["--output", "/dev/null"], "path=/tmp/up")) },
            peer: .init(name: "docker cp, client \(setting.dockerVersion)") {
                try await rate(["sh", "-c", "exec \"$0\" cp --quiet \"$1\" - >/dev/null", setting.docker, "\(container):/tmp/up"])
            }, rounds: 5)
    }

    /// What the server grows by while the file goes through it, there and back.
    private var memory: Benchmark {
        Benchmark(
            name: "file-memory", unit: .megabytes, goal: .atMost(16),
            ours: {
                let before = try residentMegabytes(of: setting.serverPID)
                let up = try await most { try await rate(curl(["--request", "POST", "--upload-file", file], "path=/tmp/up")) }
                let down = try await most { try await rate(curl(["--output", "/dev/null"], "path=/tmp/up")) }
                return max(up, down) - before
            }, rounds: 3)
    }

    private var list: Benchmark {
        Benchmark(
            name: "list-10000", unit: .milliseconds, goal: .atMost(100),
            ours: {
                try await Program.run(curl(["--output", "/dev/null"], "path=/tmp/many&list=true")).total.milliseconds
            })
    }

    /// The server's memory at its highest, looked at every 20 ms, while `body` runs.
    private func most(while body: @escaping @Sendable () async throws -> Double) async throws -> Double {
        let server = setting.serverPID
        return try await withThrowingTaskGroup(of: Double.self) { group in
            group.addTask {
                _ = try await body()
                return 0
            }
            group.addTask {
                var most = 0.0
                while !Task.isCancelled {
                    most = max(most, try residentMegabytes(of: server))
                    try? await Task.sleep(for: .milliseconds(20))
                }
                return most
            }
            _ = try await group.next()
            group.cancelAll()
            return try await group.next() ?? 0
        }
    }

    private func curl(_ arguments: [String], _ query: String) -> [String] {
        [
            "curl", "--silent", "--fail", "--noproxy", "*", "--header", "Authorization: Bearer \(setting.apiKey)", "--header", "Expect:",
        ] + arguments + ["\(setting.url)/v1/sessions/\(session.id)/files?\(query)"]
    }

    private func rate(_ arguments: [String]) async throws -> Double {
        Double(Self.bytes) / 1e6 / (try await Program.run(arguments).total.milliseconds / 1000)
    }
}
