import ExecboxAPI
import ExecboxClient
import Foundation

/// What the server and an agent cost while they have nothing to do, and how soon an agent is there.
struct MemoryBenchmarks {
    let setting: Setting

    /// Of the server, before anything else was asked of it.
    func server(bareServer: Int32) -> Benchmark {
        Benchmark(
            name: "server-rss", unit: .megabytes, goal: .atMost(60), ours: { try residentMegabytes(of: setting.serverPID) },
            peer: .init(name: "dockerd") { try residentMegabytes(of: setting.enginePID) },
            limit: .init(name: "a bare Hummingbird server") { try residentMegabytes(of: bareServer) })
    }

    /// Of an agent that has run a command.
    func agent(in session: SessionBody, idle: Int32) async throws -> Benchmark {
        _ = try await setting.client.execs.run(in: session.id, ExecBody(command: ["true"]))
        guard let container = try await setting.engine.containers().first(where: { $0.names.contains { $0.hasPrefix("/execbox-") } }) else {
            throw Program.Failure(description: "the session's container cannot be found")
        }
        let pid = try await setting.engine.pid(of: container.id)
        let shim = try parent(of: pid)
        return Benchmark(
            name: "agent-rss", unit: .megabytes, goal: .atMost(6), ours: { try residentMegabytes(of: pid) },
            peer: .init(name: "the engine's shim of the same container") { try residentMegabytes(of: shim) },
            limit: .init(name: "a static program that sleeps") { try residentMegabytes(of: idle) })
    }

    var agentDisk: Benchmark {
        Benchmark(
            name: "agent-disk", unit: .megabytes, goal: .atMost(10), ours: { try megabytesOnDisk(setting.agent) },
            limit: .init(name: "busybox") { try megabytesOnDisk(setting.busybox) })
    }

    /// From its start to its hello on a server's socket.
    var agentReady: Benchmark {
        Benchmark(
            name: "agent-ready", unit: .milliseconds, goal: .atMost(5), ours: { try await AgentStart.measure(setting.agent) },
            limit: .init(name: "spawn") { try await Program.run([setting.busybox, "true"]).total.milliseconds })
    }

    private func megabytesOnDisk(_ path: String) throws -> Double {
        guard let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber else {
            throw Program.Failure(description: "\(path) has no size")
        }
        return size.doubleValue / 1e6
    }

    private func parent(of pid: Int32) throws -> Int32 { Int32(try ProcessStatus(pid).value(of: "PPid")) }
}

/// Resident memory in units of 10⁶ bytes, as `/proc` counts it: shared pages, the program's own text among them, are in it.
func residentMegabytes(of pid: Int32) throws -> Double { Double(try ProcessStatus(pid).value(of: "VmRSS")) * 1024 / 1e6 }

/// `/proc/PID/status`.
private struct ProcessStatus {
    let pid: Int32
    let text: String

    init(_ pid: Int32) throws {
        self.pid = pid
        text = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
    }

    func value(of name: String) throws -> Int {
        for line in text.split(separator: "\n") where line.hasPrefix("\(name):") {
            if let number = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap({ Int($0) }) { return number }
        }
        throw Program.Failure(description: "/proc/\(pid)/status has no \(name)")
    }
}
