import ExecboxAPI
import ExecboxClient
import ExecboxCurl
import ExecboxModel
import Foundation

/// The control plane: how many authenticated, limited requests a second, and how long lists and reports take over a long history.
struct APIBenchmarks {
    private static let connections = 32
    private static let seconds = 2

    let setting: Setting

    // MARK: Requests a second

    /// `GET /v1/sessions/{id}` with so many keys in turn, beside the bare server's one route.
    func get(keys count: Int, of session: SessionBody, keys: [String]) -> Benchmark {
        Benchmark(
            name: "api-get-\(count)", unit: .requestsPerSecond, goal: .ratio(0.4),
            ours: { try await load(url: "\(setting.url)/v1/sessions/\(session.id)", keys: Array(keys.prefix(count))) },
            peer: .init(name: "a Hummingbird server with one route, without database and limits") {
                try await load(url: BareServer.url, keys: [])
            }, rounds: 10)
    }

    /// The slowest hundredth at half of what the server can do.
    func latency(of session: SessionBody, key: String) -> Benchmark {
        Benchmark(
            name: "api-get-p99", unit: .milliseconds, goal: .atMost(15),
            ours: {
                let url = "\(setting.url)/v1/sessions/\(session.id)"
                let most = try await load(url: url, keys: [key])
                return try await p99(url: url, key: key, requestsPerSecond: Int(most / 2))
            }, rounds: 5)
    }

    /// wrk: a closed loop on each connection. Any answer but 200 is an error.
    private func load(url: String, keys: [String]) async throws -> Double {
        let script = FileManager.default.temporaryDirectory.appendingPathComponent("bench-\(UUID().uuidString).lua")
        let names = keys.map { "'\($0)'" }.joined(separator: ",")
        try """
        local keys, requests, next = {\(names)}, {}, 0
        init = function()
            for i, key in ipairs(keys) do requests[i] = wrk.format('GET', nil, { ['Authorization'] = 'Bearer ' .. key }) end
            if #keys == 0 then requests[1] = wrk.format('GET') end
        end
        request = function() next = next % #requests + 1; return requests[next] end
        """.write(to: script, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: script) }
        let text = try await Program.output([
            "wrk", "--threads", "1", "--connections", "\(Self.connections)", "--duration", "\(Self.seconds)", "--script", script.path, url,
        ])
        guard !text.contains("Non-2xx"), let line = text.split(separator: "\n").first(where: { $0.hasPrefix("Requests/sec:") }),
            let rate = Double(line.dropFirst(13).trimmingCharacters(in: .whitespaces))
        else { throw Program.Failure(description: "wrk says: \(text)") }
        return rate
    }

    /// h2load: requests at fixed moments, whether the last one is answered or not.
    private func p99(url: String, key: String, requestsPerSecond: Int) async throws -> Double {
        let log = FileManager.default.temporaryDirectory.appendingPathComponent("bench-\(UUID().uuidString).log")
        defer { try? FileManager.default.removeItem(at: log) }
        let clients = 16
        _ = try await Program.output([
            "h2load", "--h1", "--clients", "\(clients)", "--rps", "\(max(1, requestsPerSecond / clients))", "--duration", "5",
            "--header", "Authorization: Bearer \(key)", "--log-file", log.path, url,
        ])
        let times = try String(contentsOf: log, encoding: .utf8).split(separator: "\n").compactMap { line -> Double? in
            let fields = line.split(separator: "\t")
            guard fields.count == 3, fields[1] == "200" else { return nil }
            return Double(fields[2])
        }.sorted()
        guard times.count > 100 else { throw Program.Failure(description: "h2load has \(times.count) answers") }
        return times[times.count * 99 / 100] / 1000
    }

    // MARK: A long history

    /// A page of a list of a million sessions, from anywhere in it.
    var listPage: Benchmark {
        history("list-page-p99", goal: 10, requests: 200) {
            let n = Int.random(in: 100...1_000_000)
            let id = String(repeating: "0", count: 26 - "\(n)".count) + "\(n)"
            return "/v1/sessions?limit=50&cursor=sess_\(id)"
        }
    }

    var usageReport: Benchmark {
        history("usage-enhanced-p99", goal: 50, requests: 100) { "/v1/account/usage/enhanced?days=30" }
    }

    private func history(_ name: String, goal: Double, requests: Int, _ path: @escaping @Sendable () -> String) -> Benchmark {
        Benchmark(
            name: name, unit: .milliseconds, goal: .atMost(goal),
            ours: {
                let curl = CurlClient()
                var times: [Double] = []
                for _ in 0..<requests {
                    let request = CurlRequest(
                        url: setting.url + path(), headers: [CurlHeader("Authorization", "Bearer \(setting.historyKey)")])
                    times.append(
                        try await milliseconds {
                            let answer = try await curl.send(request)
                            guard answer.status == 200 else {
                                throw Program.Failure(description: "\(request.url) answers \(answer.status)")
                            }
                        })
                }
                return times.sorted()[times.count * 99 / 100]
            }, rounds: 5)
    }
}
