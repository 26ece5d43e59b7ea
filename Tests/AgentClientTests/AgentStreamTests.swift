import ExecboxAgentClient
import ExecboxModel
import ExecboxSandbox
import ExecboxWire
import Foundation
import NIOCore
import Testing

@Suite(.timeLimit(.minutes(1))) struct AgentStreamTests {
    private static let attach = AgentMessage.attach(AttachRequest(processID: "main"))
    private static let exit = ExitReport(processID: "main", cause: .exited, exitCode: 3)

    /// A link whose agent opens every stream and then does what `script` says.
    private static func run(
        limits: AgentLinkLimits = AgentLinkLimits(),
        script: @escaping @Sendable (FakeConnection) -> Void,
        _ body: (LinkFixture) async throws -> Void
    ) async throws {
        try await LinkFixture.run(limits: limits) { fixture in
            let agent = FakeAgent(path: fixture.path) { connection, _ in
                connection.write(.attached(first: 5, end: 9))
                script(connection)
            }
            try await body(fixture)
            await agent.stop()
        }
    }

    // MARK: Reading

    @Test("events come in the order of the agent, and nil after the exit") func eventsComeOrderAgentNilAfterExit() async throws {
        try await Self.run { connection in
            connection.write(.stdout([1, 2, 3]))
            connection.write(.stderr([]))
            connection.write(.gap(1 << 40))
            connection.write(.credit(77))
            connection.write(.exited(Self.exit))
            connection.waitForEnd()
        } _: { fixture in
            try await fixture.link.withStream(Self.attach) { stream in
                #expect(stream.first == 5)
                #expect(stream.end == 9)
                guard case .output(let out) = try await stream.next(), case .output(let err) = try await stream.next() else {
                    Issue.record("no output")
                    return
                }
                #expect(out.stream == .stdout)
                #expect(out.payloadLength == 3)
                #expect(Array(out.packet.readableBytesView) == Frame.stdout([1, 2, 3]).bytes)
                #expect(out.payload == ByteBuffer(bytes: [1, 2, 3]))
                #expect(err.stream == .stderr)
                #expect(err.payloadLength == 0)
                #expect(try await stream.next() == .gap(1 << 40))
                #expect(try await stream.next() == .credit(77))
                #expect(try await stream.next() == .exited(Self.exit))
                #expect(try await stream.next() == nil)
                #expect(try await stream.nextBatch() == [])
            }
        }
    }

    @Test("what came before the agent's failure is delivered before it") func whatCameBeforeAgentsFailureDeliveredBefore() async throws {
        let failure = AgentFailure(.slowReader, "too slow")
        try await Self.run { connection in
            connection.write(Frame.stdout([1]).bytes + AgentMessage.failed(failure).bytes)
        } _: { fixture in
            try await fixture.link.withStream(Self.attach) { stream in
                var events: [AgentEvent] = []
                while let event = try await stream.next() { events.append(event) }
                #expect(events.count == 2)
                #expect(events.last == .failed(failure))
            }
        }
    }

    @Test("a lost connection ends in nil without an exit, after all that had come") func lostConnectionEndsNilWithoutExitAfter()
        async throws
    {
        try await Self.run { connection in
            for number in 0..<100 { connection.write(.stdout([UInt8(number)])) }
            // The last one is cut.
            connection.write(Array(Frame.stdout([1, 2, 3]).bytes.dropLast()))
        } _: { fixture in
            try await fixture.link.withStream(Self.attach) { stream in
                var count = 0
                while true {
                    let batch = try await stream.nextBatch()
                    if batch.isEmpty { break }
                    count += batch.count
                }
                #expect(count == 100)
            }
        }
    }

    @Test(
        "a stream that breaks the protocol delivers what was right and throws",
        arguments: [
            HostileBytes(
                name: "a hello",
                bytes: AgentMessage.hello(Hello(agentVersion: "", bootID: FakeAgent.bootID(1), mainStarted: true)).bytes
            ),
            HostileBytes(name: "a second attached", bytes: AgentMessage.attached(first: 0, end: 0).bytes),
            HostileBytes(name: "a stdin frame", bytes: Frame.stdin([1]).bytes),
            HostileBytes(name: "an Exit frame", bytes: Frame.exit(0).bytes),
            HostileBytes(name: "an Error frame", bytes: Frame.error("x").bytes),
            HostileBytes(name: "an unknown type", bytes: [0x99]),
            HostileBytes(name: "output longer than 1 MiB", bytes: [0x02, 0, 0x10, 0, 1]),
            HostileBytes(name: "a long gap", bytes: [0x09, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            HostileBytes(name: "a short credit", bytes: [0x0A, 0, 0, 0, 1, 0]),
            HostileBytes(name: "an exit report of nothing", bytes: [AgentMessageType.exited.rawValue, 0, 0, 0, 0]),
            HostileBytes(name: "an exit report with a huge string", bytes: [0x44, 0, 0, 0, 4, 0xFF, 0xFF, 0xFF, 0xFF]),
        ]
    )
    func streamBreaksProtocolDeliversWhatWasRight(_ hostile: HostileBytes) async throws {
        try await Self.run { connection in
            connection.write(Frame.stdout([1]).bytes + hostile.bytes)
            connection.waitForEnd()
        } _: { fixture in
            try await fixture.link.withStream(Self.attach) { stream in
                guard case .output = try await stream.next() else {
                    Issue.record("no output")
                    return
                }
                guard case .protocolViolation = await linkError({ try await stream.next() }) else {
                    Issue.record("no violation")
                    return
                }
            }
            #expect(fixture.link.counters.violations == 1)
        }
    }

    @Test("absurd numbers are passed up as they came") func absurdNumbersPassedUpTheyCame() async throws {
        let report = ExitReport(
            processID: "another",
            cause: .signaled,
            exitCode: .min,
            elapsedMicroseconds: .max,
            stdoutBytes: .max,
            oomKills: .max
        )
        try await Self.run { connection in
            connection.write(.gap(.max))
            connection.write(.credit(.max))
            connection.write(.exited(report))
        } _: { fixture in
            try await fixture.link.withStream(Self.attach) { stream in
                let gap = try await stream.next()
                #expect(gap == .gap(.max))
                let credit = try await stream.next()
                #expect(credit == .credit(.max))
                let exit = try await stream.next()
                #expect(exit == .exited(report))
            }
        }
    }

    @Test("what follows the exit is not read") func whatFollowsExitNotRead() async throws {
        let written = Tally<Int?>(nil)
        try await Self.run { connection in
            connection.write(.exited(Self.exit))
            let count = connection.writeUntilStuck(Array(repeating: 0xEE, count: 65_536))
            written.update { $0 = count }
        } _: { fixture in
            try await fixture.link.withStream(Self.attach) { stream in
                let exit = try await stream.next()
                #expect(exit == .exited(Self.exit))
                await eventually("the agent is stuck") { written.value != nil }
                let after = try await stream.next()
                #expect(after == nil)
            }
            #expect(fixture.link.counters.violations == 0)
            #expect((written.value ?? .max) < 2 << 20)
        }
    }

    // MARK: Back-pressure

    @Test("a slow consumer stops the agent and then gets every byte", arguments: [0, 1, 4096, 65_536, 1 << 20])
    func slowConsumerStopsAgentThenGetsEvery(_ payloadLength: Int) async throws {
        let written = Tally<Int?>(nil)
        let frame = Frame.stdout((0..<payloadLength).map { UInt8(truncatingIfNeeded: $0) }).bytes
        try await Self.run { connection in
            let count = connection.writeUntilStuck(frame)
            written.update { $0 = count }
            // What is missing of the last frame.
            connection.write(Array(frame[(count % frame.count)...]))
            connection.write(.exited(Self.exit))
            connection.waitForEnd()
        } _: { fixture in
            try await fixture.link.withStream(Self.attach) { stream in
                await eventually("the agent is stuck") { written.value != nil }
                let count = written.value ?? 0
                // The buffer, a read, a frame, and what the kernel holds.
                #expect(count < 3 << 20)
                var bytes = 0
                var isIntact = true
                var exit: ExitReport?
                while true {
                    let batch = try await stream.nextBatch()
                    if batch.isEmpty { break }
                    for event in batch {
                        switch event {
                        case .output(let output):
                            bytes += output.packet.readableBytes
                            isIntact = isIntact && output.packet.readableBytesView.elementsEqual(frame)
                        case .exited(let report): exit = report
                        default: isIntact = false
                        }
                    }
                }
                #expect(isIntact)
                #expect(bytes == (count / frame.count + 1) * frame.count)
                #expect(exit == Self.exit)
            }
        }
    }

    @Test("events without bytes are not free") func eventsWithoutBytesNotFree() async throws {
        var limits = AgentLinkLimits()
        limits.streamBufferBytes = 6400
        let frame = Frame.stdout([]).bytes
        try await Self.run(limits: limits) { connection in
            connection.write(Array(repeatElement(frame, count: 10_000).joined()))
            connection.write(.exited(Self.exit))
            connection.waitForEnd()
        } _: { fixture in
            try await fixture.link.withStream(Self.attach) { stream in
                var count = 0
                var largest = 0
                while true {
                    let batch = try await stream.nextBatch()
                    if batch.isEmpty { break }
                    count += batch.count
                    largest = max(largest, batch.count)
                }
                #expect(count == 10_001)
                #expect(largest <= 100)
            }
        }
    }

    @Test("a violation that waited behind a full buffer is found when there is room") func violationBehindFullBuffer() async throws {
        var limits = AgentLinkLimits()
        limits.streamBufferBytes = 640
        let frames = Array(repeatElement(Frame.stdout([]).bytes, count: 100).joined())
        try await Self.run(limits: limits) { connection in
            connection.write(frames + [0xEE])
        } _: { fixture in
            try await fixture.link.withStream(Self.attach) { stream in
                var count = 0
                let error = await linkError {
                    while true { count += try await stream.nextBatch().count }
                }
                #expect(count == 100)
                guard case .protocolViolation = error else {
                    Issue.record("no violation but \(String(describing: error))")
                    return
                }
            }
            #expect(fixture.link.counters.violations == 1)
        }
    }

    @Test("sending suspends while the agent takes nothing, and everything arrives in order")
    func sendingSuspendsWhileAgentTakesNothingEverything() async throws {
        let isReading = Tally(false)
        let received = Tally<[UInt8]>([])
        try await Self.run { connection in
            while !isReading.value { usleep(1000) }
            while let packet = connection.readPacket(), packet.type == FrameType.stdin.rawValue {
                received.update { $0.append(packet.payload.first ?? 0) }
            }
            connection.write(.exited(Self.exit))
            connection.waitForEnd()
        } _: { fixture in
            try await fixture.link.withStream(Self.attach) { stream in
                let sent = Tally(0)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        for number in 0..<100 {
                            let data = Array(repeating: UInt8(number), count: 65_536)
                            try await stream.send(packet: ByteBuffer(bytes: Frame.stdin(data).bytes))
                            sent.update { $0 += 1 }
                        }
                        try await stream.send(.stdinClose)
                    }
                    group.addTask {
                        // Kernel and send buffer take a few; all of them would be 6.4 MB.
                        var seen = -1
                        while seen != sent.value {
                            seen = sent.value
                            try await Task.sleep(for: .milliseconds(100))
                        }
                        #expect(seen < 50)
                        isReading.update { $0 = true }
                    }
                    try await group.waitForAll()
                }
                #expect(try await stream.next() == .exited(Self.exit))
            }
            #expect(received.value == (0..<100).map { UInt8($0) })
        }
    }

    // MARK: Sending

    @Test(
        "a client cannot slip anything but stdin to the agent",
        arguments: [
            HostileBytes(name: "nothing", bytes: []),
            HostileBytes(name: "another message", bytes: AgentMessage.dismiss.bytes),
            HostileBytes(name: "a stdin frame and another message", bytes: Frame.stdin([1]).bytes + AgentMessage.dismiss.bytes),
            HostileBytes(name: "StdinClose and another message", bytes: Frame.stdinClose.bytes + AgentMessage.dismiss.bytes),
            HostileBytes(name: "a cut stdin frame", bytes: Array(Frame.stdin([1, 2]).bytes.dropLast())),
            HostileBytes(name: "half a header", bytes: [0x01, 0, 0]),
            HostileBytes(name: "a stdin frame of 4 GiB", bytes: [0x01, 0xFF, 0xFF, 0xFF, 0xFF]),
            HostileBytes(name: "output", bytes: Frame.stdout([1]).bytes),
            HostileBytes(name: "resize", bytes: Frame.resize(columns: 1, rows: 1).bytes),
        ]
    )
    func clientCannotSlipAnythingButStdinAgent(_ hostile: HostileBytes) async throws {
        try await Self.run {
            $0.waitForEnd()
        } _: { fixture in
            try await fixture.link.withStream(Self.attach) { stream in
                guard case .refused(let failure) = await linkError({ try await stream.send(packet: ByteBuffer(bytes: hostile.bytes)) })
                else {
                    Issue.record("it was sent")
                    return
                }
                #expect(failure.code == .invalidRequest)
                try await stream.send(packet: ByteBuffer(bytes: Frame.stdin([]).bytes))
            }
        }
    }

    @Test("stdin, its end and acknowledgements arrive, also when the stream ends at once")
    func stdinEndAcknowledgementsArriveAlsoWhenStream() async throws {
        let received = Tally<[PacketDecoder.Packet]>([])
        let isDone = Tally(false)
        try await Self.run { connection in
            while let packet = connection.readPacket() { received.update { $0.append(packet) } }
            isDone.update { $0 = true }
        } _: { fixture in
            try await fixture.link.withStream(Self.attach) { stream in
                try await stream.send(packet: ByteBuffer(bytes: Frame.stdin([1, 2]).bytes))
                try await stream.acknowledge(epoch: 4, offset: 1 << 33)
                try await stream.send(.stdinClose)
            }
            await eventually("the agent sees the end") { isDone.value }
            let bytes = received.update { packets in
                packets.map { PacketHeader(type: $0.type, payloadLength: $0.payload.count).bytes + $0.payload }
            }
            #expect(
                bytes == [
                    Frame.stdin([1, 2]).bytes, AgentMessage.acknowledge(epoch: 4, offset: 1 << 33).bytes, Frame.stdinClose.bytes,
                ]
            )
        }
    }

    // MARK: The end

    @Test("the connection is closed when the body ends or throws") func connectionClosedWhenBodyEndsOrThrows() async throws {
        struct Stop: Error {}
        let ended = Tally(0)
        try await Self.run { connection in
            connection.waitForEnd()
            ended.update { $0 += 1 }
        } _: { fixture in
            let answer = try await fixture.link.withStream(Self.attach) { _ in 7 }
            #expect(answer == 7)
            await eventually("after the end") { ended.value == 1 }
            await #expect(throws: Stop.self) { try await fixture.link.withStream(Self.attach) { _ in throw Stop() } }
            await eventually("after a throw") { ended.value == 2 }
        }
    }

    @Test("a stream that is read can be cancelled") func streamReadCanBeCancelled() async throws {
        let ended = Tally(false)
        try await Self.run { connection in
            connection.waitForEnd()
            ended.update { $0 = true }
        } _: { fixture in
            let isOpen = Tally(false)
            let task = Task {
                await linkError {
                    try await fixture.link.withStream(Self.attach) { stream in
                        isOpen.update { $0 = true }
                        _ = try await stream.next()
                    }
                }
            }
            await eventually("it is open") { isOpen.value }
            task.cancel()
            #expect(await task.value == .cancelled)
            await eventually("the agent sees the end") { ended.value }
        }
    }

    @Test("a stream whose socket is full can be cancelled") func streamWhoseSocketFullCanBeCancelled() async throws {
        let mayEnd = Tally(false)
        try await Self.run { _ in
            while !mayEnd.value { usleep(1000) }
        } _: { fixture in
            let sent = Tally(0)
            let task = Task {
                await linkError {
                    try await fixture.link.withStream(Self.attach) { stream in
                        while true {
                            try await stream.send(.stdin(Array(repeating: 0, count: 65_536)))
                            sent.update { $0 += 1 }
                        }
                    }
                }
            }
            await eventually("the send buffer is in use") { sent.value >= 4 }
            task.cancel()
            #expect(await task.value == .cancelled)
            mayEnd.update { $0 = true }
        }
    }

    @Test("closing the link ends its streams with closed") func closingLinkEndsStreamsWithClosed() async throws {
        try await Self.run {
            $0.waitForEnd()
        } _: { fixture in
            let error = await linkError {
                try await fixture.link.withStream(Self.attach) { stream in
                    async let closing: Void = fixture.links.close(fixture.sandboxID)
                    _ = try await stream.next()
                    await closing
                }
            }
            #expect(error == .closed)
            await fixture.expectServerSockets(0...0)
        }
    }

    @Test("a stream works on the caller's actor and returns what is not sendable") func streamWorksOnCallersActorReturnsWhat() async throws
    {
        final class Box { var value = 0 }
        try await Self.run {
            $0.waitForEnd()
        } _: { fixture in
            let box = Box()
            let same = try await fixture.link.withStream(Self.attach) { stream in
                box.value = Int(stream.first)
                return box
            }
            #expect(same === box)
            #expect(box.value == 5)
        }
    }
}

/// Bytes that no agent, or no client, should send here.
struct HostileBytes: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]
    var testDescription: String { name }
}
