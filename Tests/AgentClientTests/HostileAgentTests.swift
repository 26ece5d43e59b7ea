import ExecboxAgentClient
import ExecboxModel
import ExecboxSandbox
import ExecboxTestRandom
import ExecboxWire
import Foundation
import NIOCore
import Testing

extension SeededGenerator {
    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0 ... .max, using: &self) } }
}

@Suite(.timeLimit(.minutes(2))) struct HostileAgentTests {
    private static let attach = AgentMessage.attach(AttachRequest(processID: "main"))
    private static let hello = AgentMessage.hello(Hello(agentVersion: "evil", bootID: FakeAgent.bootID(1), mainStarted: false))

    /// Everything an agent may say somewhere.
    private static let vocabulary: [[UInt8]] =
        [
            hello, .done, .failed(AgentFailure(.busy, "busy")), .attached(first: 1, end: 2), .processes([]),
            .statistics(SandboxStatistics()), .exited(ExitReport(processID: "main", cause: .timeout, exitCode: 137, signal: "SIGKILL")),
        ].map(\.bytes)
        + [.stdout([1, 2, 3]), .stderr([]), .gap(3), .credit(4), .exit(0), .stdinClose, .error("no")].map(\Frame.bytes)

    @Test("garbage at any point neither traps nor leaks, and the link stays usable", arguments: UInt64(1)...20)
    func garbageAtAnyPointNeitherTrapsNor(_ seed: UInt64) async throws {
        var limits = AgentLinkLimits()
        limits.helloTimeout = .milliseconds(200)
        limits.acceptsPerSecond = 100_000
        try await LinkFixture.run(limits: limits) { fixture in
            let generator = Tally(SeededGenerator(seed: seed))
            // Half of them bytes, half of them valid messages in any order, some with a flipped bit.
            @Sendable func garbage() -> [UInt8] {
                generator.update { generator in
                    var bytes: [UInt8] = []
                    for _ in 0..<Int.random(in: 1...6, using: &generator) {
                        switch Int.random(in: 0..<4, using: &generator) {
                        case 0: bytes += generator.bytes(Int.random(in: 0..<300, using: &generator))
                        case 1:
                            var message = vocabulary.randomElement(using: &generator) ?? []
                            let index = Int.random(in: 0..<message.count, using: &generator)
                            message[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
                            bytes += message
                        default: bytes += vocabulary.randomElement(using: &generator) ?? []
                        }
                    }
                    return bytes
                }
            }
            let vocabulary = Self.vocabulary
            for _ in 0..<30 {
                guard let connection = FakeConnection.dial(fixture.path) else { break }
                if generator.update({ Bool.random(using: &$0) }) { connection.write(Self.hello) }
                connection.write(garbage())
                connection.close()
            }
            let agent = FakeAgent(path: fixture.path, parked: 3) { connection, operation in
                if case .attach = operation { connection.write(.attached(first: 0, end: 0)) }
                let bytes = garbage()
                let cut = bytes.count / 2
                connection.write(Array(bytes[..<cut]))
                connection.write(Array(bytes[cut...]))
            }
            await withDiscardingTaskGroup { group in
                for number in 0..<40 {
                    group.addTask {
                        if number.isMultiple(of: 2) {
                            _ = await linkError { try await fixture.link.request(.list, timeout: .seconds(20)) }
                        } else {
                            _ = await linkError {
                                try await fixture.link.withStream(Self.attach, timeout: .seconds(20)) { stream in
                                    while try await !stream.nextBatch().isEmpty {}
                                }
                            }
                        }
                    }
                }
            }
            await agent.stop()
            await fixture.expectServerSockets(1...1)
            let honest = FakeAgent(path: fixture.path) { connection, _ in connection.write(.processes([])) }
            await eventually("an honest agent is let in, whatever was turned away before") { fixture.link.isConnected }
            let answer = try await fixture.link.request(.list, timeout: .seconds(20))
            #expect(answer == .processes([]))
            await honest.stop()
        }
    }

    @Test("a reply that never ends is bounded by its announced length") func replyNeverEndsBoundedByAnnouncedLength() async throws {
        try await LinkFixture.run { fixture in
            let agent = FakeAgent(path: fixture.path) { connection, _ in
                connection.write([AgentMessageType.processes.rawValue, 0, 0x40, 0, 1])
                connection.waitForEnd()
            }
            guard case .protocolViolation = await linkError({ try await fixture.link.request(.list, timeout: .seconds(20)) }) else {
                Issue.record("4 MiB and a byte were taken")
                return
            }
            await agent.stop()
        }
    }

    @Test("an urgent byte is a byte like others") func urgentByteLikeOthers() async throws {
        try await LinkFixture.run { fixture in
            let connection = try #require(FakeConnection.dial(fixture.path))
            let hello = Self.hello.bytes
            // The kernel keeps the last byte apart, and would not show it to a plain read.
            connection.write(Array(hello.dropLast()))
            connection.write(Array(hello.suffix(1)), flags: Int(MSG_OOB))
            #expect(try await fixture.link.hello(timeout: .seconds(20)).agentVersion == "evil")
            connection.write([0x20], flags: Int(MSG_OOB))
            await eventually("the server closes it") { connection.isClosedByServer }
            #expect(fixture.link.counters.violations == 1)
        }
    }

    @Test("out-of-band bytes and half-closed connections are no surprise") func outBandBytesHalfClosedConnectionsNo() async throws {
        try await LinkFixture.run { fixture in
            for round in 0..<20 {
                let connection = try #require(FakeConnection.dial(fixture.path))
                if round.isMultiple(of: 2) { connection.write(Self.hello) }
                connection.write([0x20], flags: Int(MSG_OOB))
                if round.isMultiple(of: 3) { connection.shutDownWriting() }
                if round.isMultiple(of: 4) { connection.write([0x20], flags: Int(MSG_OOB)) }
                connection.close()
            }
            await fixture.expectServerSockets(1...1)
            let honest = FakeAgent(path: fixture.path) { connection, _ in connection.write(.processes([])) }
            await eventually("an honest agent is let in, whatever was turned away before") { fixture.link.isConnected }
            #expect(try await fixture.link.request(.list, timeout: .seconds(20)) == .processes([]))
            await honest.stop()
        }
    }

    @Test("an agent that half-closes its stream has lost it") func agentHalfClosesStreamHasLost() async throws {
        try await LinkFixture.run { fixture in
            let agent = FakeAgent(path: fixture.path) { connection, _ in
                connection.write(.attached(first: 0, end: 0))
                connection.shutDownWriting()
                connection.waitForEnd()
            }
            try await fixture.link.withStream(Self.attach) { stream in
                let value = try await stream.next()
                #expect(value == nil)
            }
            await agent.stop()
        }
    }

    @Test("strangers in any number do not keep the agent out") func strangersAnyNumberDoNotKeepAgent() async throws {
        var limits = AgentLinkLimits()
        limits.acceptsPerSecond = 1000
        try await LinkFixture.run(limits: limits) { fixture in
            // They hold their connections open and say nothing, as far as they are let in.
            let crowd = (0..<200).compactMap { _ in FakeConnection.dial(fixture.path) }
            await eventually("the surplus is closed") { fixture.link.counters.surplus >= UInt64(crowd.count) - 8 }
            for connection in crowd { connection.close() }
            let agent = FakeAgent(path: fixture.path) { connection, _ in connection.write(.processes([])) }
            let answer = try await fixture.link.request(.list, timeout: .seconds(20))
            #expect(answer == .processes([]))
            await agent.stop()
        }
    }
}
