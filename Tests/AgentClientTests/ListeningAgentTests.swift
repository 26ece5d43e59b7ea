import ExecboxAgentClient
import ExecboxModel
import ExecboxSandbox
import ExecboxWire
import Foundation
import Logging
import NIOPosix
import Testing

/// The other transport: the agent listens, and wants the secret first.
@Suite(.timeLimit(.minutes(1))) struct ListeningAgentTests {
    private static let secret = FakeAgent.bootID(9)
    private static let hello = Hello(agentVersion: "fake", bootID: FakeAgent.bootID(1), mainStarted: false)

    private static func run(port: Int, _ body: (AgentLink) async throws -> Void) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let links = AgentLinks(
            serverID: AgentLinks.makeServerID(),
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            logger: logger
        )
        let sandboxID = SandboxID.make(unixMilliseconds: 1)
        let link = try await links.open(sandboxID, transport: .listen(host: "127.0.0.1", port: port, secret: secret))
        do {
            try await body(link)
        } catch {
            await links.close(sandboxID)
            throw error
        }
        await links.close(sandboxID)
    }

    private static let script: FakeAgent.Script = { connection, first in
        guard first == .secret(secret) else {
            connection.write(.failed(AgentFailure(.forbidden, "wrong secret")))
            return
        }
        connection.write(.hello(hello))
        switch connection.readMessage() {
        case .list: connection.write(.processes([]))
        case .attach:
            connection.write(.attached(first: 0, end: 0))
            connection.write(.stdout([1]))
            connection.write(.exited(ExitReport(processID: "main", cause: .exited, exitCode: 0)))
        default: break
        }
        connection.waitForEnd()
    }

    @Test("requests and streams dial the agent as needed") func requestsStreamsDialAgentNeeded() async throws {
        let listener = try FakeListener(script: Self.script)
        try await Self.run(port: listener.port) { link in
            #expect(try await link.hello(timeout: .seconds(20)) == Self.hello)
            try await withThrowingTaskGroup(of: AgentMessage.self) { group in
                for _ in 0..<20 { group.addTask { try await link.request(.list, timeout: .seconds(20)) } }
                for try await answer in group { #expect(answer == .processes([])) }
            }
            let attach = AgentMessage.attach(AttachRequest(processID: "main"))
            let count = try await link.withStream(attach) { stream in
                var count = 0
                while try await stream.next() != nil { count += 1 }
                return count
            }
            #expect(count == 2)
        }
        await listener.stop()
    }

    @Test("the agent may begin to listen later") func agentMayBeginListenLater() async throws {
        let listener = try FakeListener(script: Self.script, isListening: false)
        try await Self.run(port: listener.port) { link in
            async let hello = link.hello(timeout: .seconds(20))
            listener.startListening()
            let answer = try await hello
            #expect(answer == Self.hello)
        }
        await listener.stop()
    }

    @Test("a wrong secret is refused in the agent's words") func wrongSecretRefusedAgentsWords() async throws {
        let refusal = AgentFailure(.forbidden, "wrong secret")
        let listener = try FakeListener { connection, _ in connection.write(.failed(refusal)) }
        try await Self.run(port: listener.port) { link in
            #expect(await linkError { try await link.hello(timeout: .seconds(20)) } == .refused(refusal))
            #expect(await linkError { try await link.request(.list, timeout: .seconds(20)) } == .refused(refusal))
        }
        await listener.stop()
    }

    @Test("nobody there is notConnected, and can be cancelled") func nobodyThereNotConnectedCanBeCancelled() async throws {
        let listener = try FakeListener(script: Self.script, isListening: false)
        try await Self.run(port: listener.port) { link in
            #expect(await linkError { try await link.hello(timeout: .milliseconds(50)) } == .notConnected)
            let task = Task { await linkError { try await link.hello(timeout: .seconds(3600)) } }
            task.cancel()
            #expect(await task.value == .cancelled)
        }
        await listener.stop()
    }
}
