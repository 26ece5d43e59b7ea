import ExecboxAgentClient
import ExecboxModel
import ExecboxSandbox
import ExecboxWire
import Foundation
import NIOCore
import Testing

@Suite(.timeLimit(.minutes(1))) struct AgentLinkTests {
    /// Answers every request as an agent without processes would.
    private static let honest: FakeAgent.Script = { connection, operation in
        switch operation {
        case .list: connection.write(.processes([]))
        case .stats: connection.write(.statistics(SandboxStatistics(memoryBytes: 7)))
        case .start, .attach: connection.write(.attached(first: 0, end: 0))
        default: connection.write(.done)
        }
        connection.waitForEnd()
    }

    // MARK: Hello

    @Test("hello is returned once the agent has dialled") func helloReturnedOnceAgentHasDialled() async throws {
        try await LinkFixture.run { fixture in
            #expect(!fixture.link.isConnected)
            async let hello = fixture.link.hello(timeout: .seconds(20))
            let agent = FakeAgent(path: fixture.path, script: Self.honest)
            #expect(try await hello == agent.hello)
            #expect(fixture.link.isConnected)
            try await fixture.link.waitUntilConnected(timeout: .zero)
            await agent.stop()
            await eventually("a dead agent is noticed") { !fixture.link.isConnected }
        }
    }

    @Test("without an agent everything ends in notConnected") func withoutAgentEverythingEndsNotConnected() async throws {
        try await LinkFixture.run { fixture in
            let link = fixture.link
            #expect(await linkError { try await link.hello(timeout: .milliseconds(20)) } == .notConnected)
            #expect(await linkError { try await link.waitUntilConnected(timeout: .zero) } == .notConnected)
            #expect(await linkError { try await link.request(.list, timeout: .milliseconds(20)) } == .notConnected)
            let attach = AgentMessage.attach(AttachRequest(processID: "main"))
            #expect(await linkError { try await link.withStream(attach, timeout: .milliseconds(20)) { _ in } } == .notConnected)
        }
    }

    @Test("an agent of another protocol version is turned away by name") func agentAnotherProtocolVersionTurnedAwayBy() async throws {
        try await LinkFixture.run { fixture in
            let agent = FakeAgent(path: fixture.path, version: 9, script: Self.honest)
            #expect(await linkError { try await fixture.link.hello(timeout: .seconds(20)) } == .incompatible(version: 9))
            #expect(await linkError { try await fixture.link.request(.list) } == .incompatible(version: 9))
            await agent.stop()
        }
    }

    @Test("a hello of a future version need not be laid out like ours") func helloFutureVersionNeedNotBeLaid() async throws {
        try await LinkFixture.run { fixture in
            let connection = try #require(FakeConnection.dial(fixture.path))
            connection.write([AgentMessageType.hello.rawValue, 0, 0, 0, 3, 0, 2, 0xFF])
            #expect(await linkError { try await fixture.link.hello(timeout: .seconds(20)) } == .incompatible(version: 2))
        }
    }

    @Test("a connection that says nothing is closed in time") func connectionSaysNothingClosedTime() async throws {
        var limits = AgentLinkLimits()
        limits.helloTimeout = .milliseconds(30)
        try await LinkFixture.run(limits: limits) { fixture in
            let connection = try #require(FakeConnection.dial(fixture.path))
            await eventually("it is counted") { fixture.link.counters.silent == 1 }
            await eventually("the server closes it") { connection.isClosedByServer }
        }
    }

    @Test(
        "a hello that breaks the protocol closes the connection",
        arguments: [
            HostileHello(name: "longer than 1 KiB", bytes: [AgentMessageType.hello.rawValue, 0, 0, 4, 1]),
            HostileHello(name: "of 4 GiB", bytes: [AgentMessageType.hello.rawValue, 0xFF, 0xFF, 0xFF, 0xFF]),
            HostileHello(name: "empty", bytes: [AgentMessageType.hello.rawValue, 0, 0, 0, 0]),
            HostileHello(name: "of another type", bytes: AgentMessage.done.bytes),
            HostileHello(name: "of an unknown type", bytes: [0xEE]),
            HostileHello(name: "an HTTP request", bytes: Array("GET / HTTP/1.1\r\n\r\n".utf8)),
            HostileHello(
                name: "followed by more",
                bytes: AgentMessage.hello(Hello(agentVersion: "", bootID: FakeAgent.bootID(1), mainStarted: false)).bytes + [0x40]
            ),
            HostileHello(
                name: "with a short boot id",
                bytes: AgentMessage.hello(Hello(agentVersion: "", bootID: [1], mainStarted: false)).bytes
            ),
        ]
    )
    func helloBreaksProtocolClosesConnection(_ hello: HostileHello) async throws {
        try await LinkFixture.run { fixture in
            let connection = try #require(FakeConnection.dial(fixture.path))
            connection.write(hello.bytes)
            await eventually("the server closes it") { connection.isClosedByServer }
            #expect(fixture.link.counters.violations == 1)
            #expect(fixture.link.counters.greeted == 0)
            #expect(!fixture.link.isConnected)
        }
    }

    @Test("an idle connection that speaks is closed") func idleConnectionSpeaksClosed() async throws {
        try await LinkFixture.run { fixture in
            let connection = try #require(FakeConnection.dial(fixture.path))
            connection.write(.hello(Hello(agentVersion: "fake", bootID: FakeAgent.bootID(1), mainStarted: false)))
            _ = try await fixture.link.hello(timeout: .seconds(20))
            connection.write(.done)
            await eventually("the server closes it") { connection.isClosedByServer }
            #expect(fixture.link.counters.violations == 1)
        }
    }

    // MARK: Who may connect

    @Test("a process that is not the agent is turned away") func processNotAgentTurnedAway() async throws {
        try await LinkFixture.run { fixture in
            let hello = AgentMessage.hello(Hello(agentVersion: "evil", bootID: FakeAgent.bootID(1), mainStarted: false))
            let stranger = try PeerProcess(path: fixture.path, says: hello.bytes)
            await eventually("it is counted") { fixture.link.counters.wrongPeers == 1 }
            await stranger.waitForClose()
            #expect(fixture.link.counters.greeted == 0)
            await fixture.expectServerSockets(1...1)
        }
    }

    @Test("a process with the agent's pid is let in") func processWithAgentsPidLet() async throws {
        let hello = Hello(agentVersion: "child", bootID: FakeAgent.bootID(1), mainStarted: true)
        let directory = try LinkFixture.makeDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = "\(directory)/\(LinkFixture.serverID).sock"
        // It waits for the socket, which is made only once its pid is known.
        let child = try PeerProcess(path: path, says: AgentMessage.hello(hello).bytes)
        try await LinkFixture.run(directory: directory, peerPID: child.pid) { fixture in
            #expect(try await fixture.link.hello(timeout: .seconds(20)) == hello)
            let own = try #require(FakeConnection.dial(fixture.path))
            await eventually("the server closes it") { own.isClosedByServer }
            #expect(fixture.link.counters.wrongPeers == 1)
        }
        await child.waitForClose()
    }

    @Test("who dials before the agent's pid is known waits, and only the agent is let in then")
    func whoDialsEarlyWaits() async throws {
        let directory = try LinkFixture.makeDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let hello = Hello(agentVersion: "child", bootID: FakeAgent.bootID(1), mainStarted: false)
        let child = try PeerProcess(path: "\(directory)/\(LinkFixture.serverID).sock", says: AgentMessage.hello(hello).bytes)
        try await LinkFixture.run(directory: directory, peerPID: nil) { fixture in
            let own = try #require(FakeConnection.dial(fixture.path))
            // The listening socket, and both peers' in its backlog.
            await fixture.expectServerSockets(3...3)
            #expect(fixture.link.counters.wrongPeers == 0)
            #expect(!fixture.link.isConnected)
            #expect(fixture.links.link(for: fixture.sandboxID) == nil)
            let known = AgentTransport.dialOut(directory: fixture.directory, peerPID: child.pid)
            #expect(try await fixture.links.open(fixture.sandboxID, transport: known) === fixture.link)
            #expect(try await fixture.link.hello(timeout: .seconds(20)) == hello)
            await eventually("the other is closed") { own.isClosedByServer }
            #expect(fixture.link.counters.wrongPeers == 1)
            // What is known is not forgotten again.
            let unknown = AgentTransport.dialOut(directory: fixture.directory, peerPID: nil)
            #expect(try await fixture.links.open(fixture.sandboxID, transport: unknown) === fixture.link)
            #expect(fixture.link.transport == known)
        }
        await child.waitForClose()
    }

    @Test("more than four idle connections are closed") func moreThanFourIdleConnectionsClosed() async throws {
        try await LinkFixture.run { fixture in
            let hello = AgentMessage.hello(Hello(agentVersion: "fake", bootID: FakeAgent.bootID(1), mainStarted: false))
            var opened: [FakeConnection] = []
            for number in 1...7 {
                let connection = try #require(FakeConnection.dial(fixture.path))
                connection.write(hello)
                opened.append(connection)
                await eventually("hello \(number) is heard") { fixture.link.counters.greeted == number }
            }
            let connections = opened
            #expect(fixture.link.counters.surplus == 3)
            await eventually("three are closed") { connections.dropFirst(4).allSatisfy(\.isClosedByServer) }
            await fixture.expectServerSockets(5...5)
            // They are open until here, not until their last use.
            for connection in connections { connection.close() }
        }
    }

    @Test("more than eight connections without hello are closed") func moreThanEightConnectionsWithoutHelloClosed() async throws {
        var limits = AgentLinkLimits()
        limits.helloTimeout = .seconds(3600)
        try await LinkFixture.run(limits: limits) { fixture in
            let connections = (0..<12).compactMap { _ in FakeConnection.dial(fixture.path) }
            #expect(connections.count == 12)
            await eventually("four are counted") { fixture.link.counters.surplus == 4 }
            await fixture.expectServerSockets(9...9)
            // They are open until here, not until their last use.
            for connection in connections { connection.close() }
        }
    }

    // MARK: Requests

    @Test("a request returns the reply and closes its connection") func requestReturnsReplyClosesConnection() async throws {
        try await LinkFixture.run { fixture in
            let agent = FakeAgent(path: fixture.path, script: Self.honest)
            let list = try await fixture.link.request(.list)
            #expect(list == .processes([]))
            let statistics = try await fixture.link.request(.stats)
            #expect(statistics == .statistics(SandboxStatistics(memoryBytes: 7)))
            let answer = try await fixture.link.request(.signal(processID: "main", name: "SIGINT"))
            #expect(answer == .done)
            await fixture.expectServerSockets(0...3)
            await agent.stop()
        }
    }

    @Test("a detached start is a request") func detachedStartRequest() async throws {
        try await LinkFixture.run { fixture in
            let agent = FakeAgent(path: fixture.path) { connection, _ in connection.write(.attached(first: 0, end: 3)) }
            let start = AgentMessage.start(StartRequest(processID: "e", arguments: ["true"], flow: .detached))
            let answer = try await fixture.link.request(start, timeout: .seconds(20))
            #expect(answer == .attached(first: 0, end: 3))
            await agent.stop()
        }
    }

    @Test("a refusal carries the agent's words") func refusalCarriesAgentsWords() async throws {
        try await LinkFixture.run { fixture in
            let failure = AgentFailure(.notFound, "no process x")
            let agent = FakeAgent(path: fixture.path) { connection, _ in connection.write(.failed(failure)) }
            #expect(await linkError { try await fixture.link.request(.hangup(processID: "x")) } == .refused(failure))
            let attach = AgentMessage.attach(AttachRequest(processID: "x"))
            #expect(await linkError { try await fixture.link.withStream(attach) { _ in } } == .refused(failure))
            await agent.stop()
        }
    }

    @Test("a reply of another type is a violation") func replyAnotherTypeViolation() async throws {
        try await LinkFixture.run { fixture in
            let agent = FakeAgent(path: fixture.path) { connection, _ in
                connection.write(.statistics(SandboxStatistics()))
                connection.waitForEnd()
            }
            guard case .protocolViolation = await linkError({ try await fixture.link.request(.list) }) else {
                Issue.record("no violation")
                return
            }
            await agent.stop()
        }
    }

    @Test("an agent that does not answer costs a timeout and no descriptor") func agentDoesNotAnswerCostsTimeoutNo() async throws {
        try await LinkFixture.run { fixture in
            let agent = FakeAgent(path: fixture.path, parked: 1) { connection, _ in connection.waitForEnd() }
            try await fixture.link.waitUntilConnected(timeout: .seconds(20))
            #expect(await linkError { try await fixture.link.request(.list, timeout: .milliseconds(20)) } == .timeout)
            await fixture.expectServerSockets(0...2)
            await agent.stop()
        }
    }

    @Test("messages that are no requests are refused without asking the agent") func messagesNoRequestsRefusedWithoutAskingAgent()
        async throws
    {
        try await LinkFixture.run { fixture in
            let link = fixture.link
            for message in [AgentMessage.done, .attach(AttachRequest(processID: "main")), .secret([1])] {
                guard case .refused(let failure) = await linkError({ try await link.request(message) }) else {
                    Issue.record("\(message) was not refused")
                    continue
                }
                #expect(failure.code == .invalidRequest)
            }
            guard case .refused = await linkError({ try await link.withStream(.list) { _ in } }) else {
                Issue.record("list opened a stream")
                return
            }
        }
    }

    @Test("a start longer than any agent takes is refused at once") func startLongerThanAnyAgentTakesRefused() async throws {
        try await LinkFixture.run { fixture in
            let argument = String(repeating: "x", count: 1 << 20)
            let start = AgentMessage.start(StartRequest(processID: "e", arguments: Array(repeating: argument, count: 5)))
            guard case .refused(let failure) = await linkError({ try await fixture.link.withStream(start) { _ in } }) else {
                Issue.record("not refused")
                return
            }
            #expect(failure.code == .invalidRequest)
        }
    }

    @Test("200 concurrent requests are answered over two idle connections") func twohundredConcurrentRequestsAnsweredOverTwoIdle()
        async throws
    {
        try await LinkFixture.run { fixture in
            let agent = FakeAgent(path: fixture.path, script: Self.honest)
            let answers = try await withThrowingTaskGroup(of: AgentMessage.self) { group in
                for number in 0..<200 {
                    group.addTask {
                        try await fixture.link.request(number.isMultiple(of: 2) ? .list : .stats, timeout: .seconds(20))
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.count { $0 == .processes([]) } == 100)
            #expect(answers.count { $0 == .statistics(SandboxStatistics(memoryBytes: 7)) } == 100)
            await agent.stop()
        }
    }

    // MARK: Lost connections

    @Test("a request that is safe to repeat survives a connection that dies") func requestSafeRepeatSurvivesConnectionDies() async throws {
        try await LinkFixture.run { fixture in
            let seen = Tally(0)
            let agent = FakeAgent(path: fixture.path) { connection, _ in
                let number = seen.update { seen in
                    seen += 1
                    return seen
                }
                if number > 1 { connection.write(.processes([])) }
            }
            let answer = try await fixture.link.request(.list)
            #expect(answer == .processes([]))
            #expect(seen.value == 2)
            #expect(fixture.link.counters.repeated == 1)
            await agent.stop()
        }
    }

    @Test("it is repeated only once") func repeatedOnlyOnce() async throws {
        try await LinkFixture.run { fixture in
            let seen = Tally(0)
            let agent = FakeAgent(path: fixture.path) { _, _ in seen.update { $0 += 1 } }
            let attach = AgentMessage.attach(AttachRequest(processID: "main"))
            #expect(await linkError { try await fixture.link.withStream(attach) { _ in } } == .connectionLost)
            #expect(seen.value == 2)
            await agent.stop()
        }
    }

    @Test("a signal is never sent twice") func signalNeverSentTwice() async throws {
        try await LinkFixture.run { fixture in
            let seen = Tally(0)
            let agent = FakeAgent(path: fixture.path) { _, _ in seen.update { $0 += 1 } }
            #expect(await linkError { try await fixture.link.request(.signal(processID: "main", name: "SIGINT")) } == .connectionLost)
            #expect(seen.value == 1)
            await agent.stop()
        }
    }

    @Test("a link works on after its agent was restarted with the same boot id") func linkWorksOnAfterAgentWasRestarted() async throws {
        try await LinkFixture.run { fixture in
            fixture.link.expectBootID(FakeAgent.bootID(1))
            for _ in 0..<3 {
                let agent = FakeAgent(path: fixture.path, script: Self.honest)
                let answer = try await fixture.link.request(.list, timeout: .seconds(20))
                #expect(answer == .processes([]))
                await agent.stop()
            }
            #expect(!fixture.link.bootIDChanged)
        }
    }

    @Test("an agent with another boot id is refused until the expected one is back") func agentWithAnotherBootIdRefusedUntil() async throws
    {
        try await LinkFixture.run { fixture in
            fixture.link.expectBootID(FakeAgent.bootID(1))
            let other = FakeAgent(path: fixture.path, bootID: 2, script: Self.honest)
            #expect(await linkError { try await fixture.link.hello(timeout: .seconds(20)) } == .otherBoot)
            #expect(await linkError { try await fixture.link.request(.list) } == .otherBoot)
            #expect(fixture.link.bootIDChanged)
            #expect(!fixture.link.isConnected)
            await other.stop()
            let expected = FakeAgent(path: fixture.path, bootID: 1, script: Self.honest)
            await eventually("the expected one is let in") { fixture.link.isConnected }
            let answer = try await fixture.link.request(.list)
            #expect(answer == .processes([]))
            #expect(!fixture.link.bootIDChanged)
            await expected.stop()
        }
    }

    @Test("expecting another boot id ends what is open") func expectingAnotherBootIdEndsWhatOpen() async throws {
        try await LinkFixture.run { fixture in
            let agent = FakeAgent(path: fixture.path, bootID: 2, script: Self.honest)
            let attach = AgentMessage.attach(AttachRequest(processID: "main"))
            let error = await linkError {
                try await fixture.link.withStream(attach, timeout: .seconds(20)) { stream in
                    fixture.link.expectBootID(FakeAgent.bootID(1))
                    _ = try await stream.next()
                }
            }
            #expect(error == .otherBoot)
            #expect(fixture.link.bootIDChanged)
            await agent.stop()
        }
    }

    // MARK: Cancellation

    @Test("a request that waits for a connection can be cancelled") func requestWaitsForConnectionCanBeCancelled() async throws {
        try await LinkFixture.run { fixture in
            let task = Task { await linkError { try await fixture.link.request(.list, timeout: .seconds(3600)) } }
            task.cancel()
            #expect(await task.value == .cancelled)
        }
    }

    @Test("a request that waits for its answer can be cancelled") func requestWaitsForAnswerCanBeCancelled() async throws {
        try await LinkFixture.run { fixture in
            let isAsked = Tally(false)
            let agent = FakeAgent(path: fixture.path) { connection, _ in
                isAsked.update { $0 = true }
                connection.waitForEnd()
            }
            let task = Task { await linkError { try await fixture.link.request(.list, timeout: .seconds(3600)) } }
            await eventually("the agent is asked") { isAsked.value }
            task.cancel()
            #expect(await task.value == .cancelled)
            await fixture.expectServerSockets(0...3)
            await agent.stop()
        }
    }

    @Test("cancellation at any moment neither hangs nor leaks") func cancellationAtAnyMomentNeitherHangsNor() async throws {
        try await LinkFixture.run { fixture in
            let agent = FakeAgent(path: fixture.path, script: Self.honest)
            try await fixture.link.waitUntilConnected(timeout: .seconds(20))
            for round in 0..<60 {
                let task = Task {
                    try await fixture.link.withStream(.attach(AttachRequest(processID: "main")), timeout: .seconds(20)) { stream in
                        _ = try await stream.next()
                    }
                }
                for _ in 0..<(round * 5) { await Task.yield() }
                task.cancel()
                await #expect(throws: AgentLinkError.cancelled) { try await task.value }
            }
            await fixture.expectServerSockets(0...5)
            await agent.stop()
        }
    }
}

/// Bytes instead of a hello.
struct HostileHello: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]
    var testDescription: String { name }
}
