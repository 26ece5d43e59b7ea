import ExecboxAgentClient
import ExecboxModel
import ExecboxSandbox
import ExecboxWire
import Foundation
import Logging
import NIOCore
import NIOPosix
import Testing

/// The real agent, run as an ordinary process on this machine, with a link to it.
///
/// It is no pid 1 here: tests must not ask for `shutdown` or let a deadline pass, which end every process that the agent can see.
struct RealAgent: Sendable {
    private static let variable = "EXECBOX_TEST_AGENT"

    let links: AgentLinks
    let link: AgentLink
    let sandboxID: SandboxID
    let directory: String
    private let process: ChildProcess

    var pid: Int32 { process.pid }

    static func run(_ body: (RealAgent) async throws -> Void) async throws {
        let directory = try LinkFixture.makeDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let process = try start(in: directory)
        defer { process.end() }
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let links = AgentLinks(
            serverID: LinkFixture.serverID,
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            logger: logger
        )
        let sandboxID = SandboxID.make(unixMilliseconds: 1)
        let link = try await links.open(sandboxID, transport: .dialOut(directory: directory, peerPID: process.pid))
        let agent = RealAgent(links: links, link: link, sandboxID: sandboxID, directory: directory, process: process)
        do {
            try await body(agent)
        } catch {
            await links.close(sandboxID)
            throw error
        }
        await links.close(sandboxID)
    }

    /// Another agent for the same folder.
    static func start(in directory: String) throws -> ChildProcess {
        let path = try #require(
            ProcessInfo.processInfo.environment[variable],
            "set \(variable) to the built execbox-agent; these tests run it"
        )
        return try ChildProcess([path, "--dial-out", directory])
    }

    /// SIGTERM would be passed on to main.
    func kill() { Glibc.kill(pid, SIGKILL) }

    /// Runs a command to its end, as an exec.
    func run(_ arguments: [String], id: String) async throws -> Outcome {
        let start = StartRequest(processID: id, arguments: arguments, environment: ["PATH=/usr/bin:/bin"])
        return try await link.withStream(.start(start), timeout: .seconds(20)) { try await Outcome(reading: $0) }
    }

    /// Everything that came on a stream.
    struct Outcome: Sendable {
        var stdout: [UInt8] = []
        var stderr: [UInt8] = []
        var missing: UInt64 = 0
        var credit: UInt64 = 0
        var exit: ExitReport?
        var failure: AgentFailure?

        var text: String { String(decoding: stdout, as: UTF8.self) }

        init(reading stream: AgentStream) async throws {
            while true {
                let batch = try await stream.nextBatch()
                if batch.isEmpty { return }
                for event in batch {
                    switch event {
                    case .output(let output):
                        switch output.stream {
                        case .stdout: stdout += output.payload.readableBytesView
                        case .stderr: stderr += output.payload.readableBytesView
                        }
                    case .gap(let count): missing += count
                    case .credit(let count): credit += UInt64(count)
                    case .exited(let report): exit = report
                    case .failed(let failure): self.failure = failure
                    }
                }
            }
        }
    }
}
