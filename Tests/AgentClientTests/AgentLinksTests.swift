import ExecboxAgentClient
import ExecboxModel
import ExecboxSandbox
import ExecboxWire
import Foundation
import Logging
import NIOPosix
import ServiceLifecycle
import Testing

@Suite(.timeLimit(.minutes(1))) struct AgentLinksTests {
    private static let silent: FakeAgent.Script = { connection, _ in connection.waitForEnd() }

    private static func makeLinks() -> AgentLinks {
        AgentLinks(
            serverID: AgentLinks.makeServerID(),
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "test")
        )
    }

    @Test("a server id is eight hexadecimal digits and another each time") func serverIdEightHexadecimalDigitsAnotherEach() {
        let ids = Set((0..<100).map { _ in AgentLinks.makeServerID() })
        #expect(ids.count > 90)
        #expect(ids.allSatisfy { $0.utf8.count == 8 && $0.allSatisfy(\.isHexDigit) })
    }

    @Test("opening twice gives the same link") func openingTwiceGivesSameLink() async throws {
        try await LinkFixture.run { fixture in
            let again = try await fixture.links.open(fixture.sandboxID, transport: fixture.link.transport)
            #expect(again === fixture.link)
            #expect(fixture.links.link(for: fixture.sandboxID) === fixture.link)
            #expect(fixture.links.link(for: SandboxID.make(unixMilliseconds: 2)) == nil)
            await fixture.expectServerSockets(1...1)
        }
    }

    @Test("the socket is for its owner only") func socketForOwnerOnly() async throws {
        try await LinkFixture.run { fixture in
            let attributes = try FileManager.default.attributesOfItem(atPath: fixture.path)
            #expect(attributes[.posixPermissions] as? Int == 0o600)
        }
    }

    @Test("another pid replaces the link and ends what the old one had") func anotherPidReplacesLinkEndsWhatOld() async throws {
        try await LinkFixture.run { fixture in
            let agent = FakeAgent(path: fixture.path, script: Self.silent)
            async let error = linkError { try await fixture.link.request(.list, timeout: .seconds(3600)) }
            try await fixture.link.waitUntilConnected(timeout: .seconds(20))
            let other = try await fixture.links.open(fixture.sandboxID, transport: .dialOut(directory: fixture.directory, peerPID: 1))
            #expect(other !== fixture.link)
            #expect(await error == .closed)
            #expect(!fixture.link.isConnected)
            #expect(await linkError { try await fixture.link.hello(timeout: .seconds(20)) } == .closed)
            await eventually("the agent's pid is the wrong one now") { other.counters.wrongPeers > 0 }
            await agent.stop()
        }
    }

    @Test("opening from many tasks with changing pids leaves one socket") func openingFromManyTasksWithChangingPids() async throws {
        try await LinkFixture.run { fixture in
            await withDiscardingTaskGroup { group in
                for number in 0..<60 {
                    group.addTask {
                        let transport = AgentTransport.dialOut(directory: fixture.directory, peerPID: Int32(number % 3 + 1))
                        if number % 10 == 9 {
                            await fixture.links.close(fixture.sandboxID)
                        } else {
                            let error = await linkError { try await fixture.links.open(fixture.sandboxID, transport: transport) }
                            #expect(error == nil || error == .closed)
                        }
                    }
                }
            }
            let last = try await fixture.links.open(fixture.sandboxID, transport: fixture.link.transport)
            await fixture.expectServerSockets(1...1)
            let agent = FakeAgent(path: fixture.path, script: Self.silent)
            #expect(try await last.hello(timeout: .seconds(20)) == agent.hello)
            await agent.stop()
        }
    }

    @Test("closing unlinks the socket, and opening makes it again") func closingUnlinksSocketOpeningMakesAgain() async throws {
        try await LinkFixture.run { fixture in
            await fixture.links.close(fixture.sandboxID)
            await fixture.links.close(fixture.sandboxID)
            #expect(!FileManager.default.fileExists(atPath: fixture.path))
            #expect(fixture.links.link(for: fixture.sandboxID) == nil)
            let again = try await fixture.links.open(fixture.sandboxID, transport: fixture.link.transport)
            #expect(again !== fixture.link)
            #expect(FileManager.default.fileExists(atPath: fixture.path))
        }
    }

    @Test("closing works when the sandbox's folder is gone already") func closingWorksWhenSandboxsFolderGoneAlready() async throws {
        try await LinkFixture.run { fixture in
            try FileManager.default.removeItem(atPath: fixture.directory)
            await fixture.links.close(fixture.sandboxID)
            await fixture.expectServerSockets(0...0)
        }
    }

    @Test("a socket that cannot be made is named") func socketCannotBeMadeNamed() async throws {
        let links = Self.makeLinks()
        let sandboxID = SandboxID.make(unixMilliseconds: 1)
        for directory in ["/nowhere/at/all", "/tmp/" + String(repeating: "x", count: 100)] {
            let transport = AgentTransport.dialOut(directory: directory, peerPID: 1)
            guard case .cannotListen(let text) = await linkError({ try await links.open(sandboxID, transport: transport) }) else {
                Issue.record("it was made")
                continue
            }
            #expect(text.contains(directory))
            #expect(links.link(for: sandboxID) == nil)
        }
    }

    @Test("the end of run closes every link and opens no more") func endRunClosesEveryLinkOpensNo() async throws {
        try await LinkFixture.run { fixture in
            let agent = FakeAgent(path: fixture.path, script: Self.silent)
            let running = Task { try await fixture.links.run() }
            async let error = linkError { try await fixture.link.request(.list, timeout: .seconds(3600)) }
            try await fixture.link.waitUntilConnected(timeout: .seconds(20))
            running.cancel()
            try await running.value
            #expect(await error == .closed)
            await fixture.expectServerSockets(0...0)
            #expect(await linkError { try await fixture.links.open(fixture.sandboxID, transport: fixture.link.transport) } == .closed)
            await agent.stop()
        }
    }

    @Test("graceful shutdown of a service group closes every link") func gracefulShutdownClosesLinks() async throws {
        try await LinkFixture.run { fixture in
            let group = ServiceGroup(services: [fixture.links], logger: Logger(label: "test"))
            async let running: Void = group.run()
            await group.triggerGracefulShutdown()
            try await running
            await fixture.expectServerSockets(0...0)
            #expect(fixture.links.link(for: fixture.sandboxID) == nil)
        }
    }
}
