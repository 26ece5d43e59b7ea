import ExecboxTestRandom
import ExecboxWire
import Glibc
import Testing

@Suite("Output", .timeLimit(.minutes(2)))
struct OutputFlowTests {
    /// Writes numbered lines of `bytes` bytes in all and says on stderr when it is through.
    private static func lines(_ bytes: Int) -> String { "seq -f %099.0f \(bytes / 100); echo written >&2" }
    private static func expected(_ bytes: Int) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(bytes)
        for number in 1...(bytes / 100) {
            let digits = Array(String(number).utf8)
            text += [UInt8](repeating: 0x30, count: 99 - digits.count) + digits + [0x0A]
        }
        return text
    }

    /// Asks until the process has stopped writing without having ended: somebody holds it.
    private func waitUntilHeld(_ agent: TestAgent, _ id: String, atLeast least: UInt64 = 1) throws -> UInt64 {
        var last: UInt64 = 0
        var same = 0
        try TestAgent.poll("\(id) to be held") {
            guard let report = try agent.report(of: id) else { throw TestAgent.Failure.unexpected("\(id) is not there") }
            guard report.exit == nil else { throw TestAgent.Failure.unexpected("\(id) has ended") }
            same = report.stdoutBytes == last && last >= least ? same + 1 : 0
            last = report.stdoutBytes
            return same >= 20
        }
        return last
    }

    @Test("comes whole, in long frames, however much it is")
    func throughput() throws {
        let agent = try TestAgent()
        let connection = try agent.open(.start(.shell("head -c 1073741824 /dev/zero", id: "gigabyte")))
        var total = 0
        var frames = 0
        var report: ExitReport?
        while report == nil {
            switch try connection.next() {
            case .frame(.stdout(let data)):
                total += data.count
                frames += 1
                #expect(data.count <= 256 * 1024)
            case .message(.exited(let exit)): report = exit
            case let other: throw TestAgent.Failure.unexpected("\(other)")
            }
        }
        #expect(total == 1 << 30)
        #expect(report?.stdoutBytes == 1 << 30)
        #expect(total / frames > 16 * 1024, "\(frames) frames")
    }

    @Test("of a process that waits on a slow reader is held back, and then complete")
    func lossless() throws {
        let agent = try TestAgent()
        let connection = try agent.open(.start(.shell(Self.lines(8_000_000), id: "held")))
        let held = try waitUntilHeld(agent, "held")
        #expect(held < 4_000_000)
        let outcome = try connection.outcome()
        #expect(outcome.stdout == Self.expected(8_000_000))
        #expect(outcome.errorText == "written\n")
        #expect(outcome.gaps.isEmpty)
    }

    @Test("of a process whose first reader is on its way is kept from its first byte on")
    func awaitedFirstReader() throws {
        let agent = try TestAgent()
        guard case .attached = try agent.ask(.start(.shell(Self.lines(8_000_000), id: "awaited", flow: .awaited))) else {
            throw TestAgent.Failure.unexpected("not attached")
        }
        #expect(try waitUntilHeld(agent, "awaited") < 4_000_000)
        let outcome = try agent.open(.attach(AttachRequest(processID: "awaited"))).outcome()
        #expect(outcome.stdout == Self.expected(8_000_000))
        #expect(outcome.gaps.isEmpty)
    }

    @Test("of a process whose reader was lost is kept for it")
    func awaitedLostReader() throws {
        let agent = try TestAgent()
        let connection = try agent.open(.start(.shell("echo 1; sleep 0.2; \(Self.lines(8_000_000))", id: "lost")))
        _ = try connection.read { $0.text == "1\n" }
        connection.close()
        #expect(try waitUntilHeld(agent, "lost", atLeast: 3) < 4_000_000)
        let outcome = try agent.open(.attach(AttachRequest(processID: "lost", offset: 2))).outcome()
        #expect(outcome.stdout == Self.expected(8_000_000))
        #expect(outcome.gaps.isEmpty)
    }

    @Test("of a process that waits for a reader in vain goes on after a while", arguments: [true, false])
    func awaitedInVain(isRetained: Bool) throws {
        let agent = try TestAgent("--orphan-seconds", "1", "--hangup-seconds", "1")
        let script = "trap '' HUP; \(Self.lines(8_000_000)); echo end"
        _ = try agent.ask(.start(.shell(script, id: "vain", isRetained: isRetained, flow: .awaited)))
        try agent.waitUntil("it to end or be forgotten") { $0.isEmpty || $0.first?.exit != nil }
        if isRetained { #expect(try agent.report(of: "vain")?.stdoutBytes == 8_000_004) }
    }

    @Test("keeps the order in which the agent read its two streams")
    func order() throws {
        let agent = try TestAgent()
        let connection = try agent.open(
            .start(.shell("read x; while [ $x -lt 20 ]; do echo $x; read x; echo $x >&2; read x; done", id: "order")))
        var expected = ""
        for number in 0..<20 {
            try connection.send(.stdin(Array("\(number)\n".utf8)))
            let outcome = try connection.read { $0.bytes.last == 0x0A }
            #expect((number % 2 == 0 ? outcome.text : outcome.errorText) == "\(number)\n")
            expected += "\(number)\n"
        }
        let again = try agent.open(.attach(AttachRequest(processID: "order")))
        try connection.send(.stdin(Array("20\n".utf8)))
        #expect(String(decoding: try again.outcome().bytes, as: UTF8.self) == expected)
    }

    @Test("goes on past a live reader that does not read, who is told exactly how much is missing")
    func live() throws {
        let agent = try TestAgent()
        let connection = try agent.open(.start(.shell(Self.lines(20_000_000), id: "live", isRetained: true, flow: .live)))
        try agent.waitUntil("the end") { $0.contains { $0.exit != nil } }
        let outcome = try connection.outcome()
        let missing = outcome.gaps.reduce(0, +)
        #expect(missing > 10_000_000)
        #expect(UInt64(outcome.bytes.count) + missing == outcome.report.map { $0.stdoutBytes + $0.stderrBytes })
        #expect(outcome.stdout.suffix(100_000) == Self.expected(20_000_000).suffix(100_000))
        // What came before the first gap is the beginning.
        #expect(outcome.stdout.prefix(100) == Self.expected(100)[...])
    }

    @Test("can be read by many, also when all is over, also from the middle")
    func manyReaders() throws {
        let agent = try TestAgent()
        let first = try agent.open(.start(.shell("read x; " + Self.lines(200_000), id: "shared", isRetained: true)))
        let others = try (0..<9).map { index in
            try agent.open(.attach(AttachRequest(processID: "shared", flow: index % 2 == 0 ? .lossless : .live, sendsStdin: false)))
        }
        try first.send(.stdin([0x0A]))
        for connection in [first] + others { #expect(try connection.outcome().stdout == Self.expected(200_000)) }
        let late = try agent.open(.attach(AttachRequest(processID: "shared")))
        #expect(try late.outcome().stdout == Self.expected(200_000))
        let middle = try agent.open(.attach(AttachRequest(processID: "shared", offset: 123_456)))
        #expect(middle.first == 123_456)
        #expect(try middle.outcome().stdout == Array(Self.expected(200_000)[123_456...]))
        let end = try agent.open(.attach(AttachRequest(processID: "shared", offset: 200_008)))
        #expect(try end.outcome().bytes.isEmpty)
        #expect {
            try agent.open(.attach(AttachRequest(processID: "shared", offset: 200_009)))
        } throws: {
            ($0 as? AgentFailure)?.code == .invalidRequest
        }
    }

    @Test("that is no longer held begins with the oldest byte that is")
    func oldest() throws {
        let agent = try TestAgent()
        _ = try agent.run(.shell("seq -f %099.0f 10000", id: "old", bufferBytes: 64 * 1024, isRetained: true))
        let connection = try agent.open(.attach(AttachRequest(processID: "old", offset: 10)))
        #expect(connection.first == 1_000_000 - 64 * 1024)
        #expect(connection.end == 1_000_000)
        #expect(try connection.outcome().stdout == Array(Self.expected(1_000_000)[Int(connection.first)...]))
    }

    @Test("resumes byte for byte after connections were lost at any moment")
    func resumes() throws {
        var random = SeededGenerator(seed: 11)
        let agent = try TestAgent()
        let size = 1_900_000
        var received: [UInt8] = []
        var connection = try agent.open(
            .start(.shell("seq -f %099.0f \(size / 100)", id: "main", bufferBytes: 2 << 20, headBytes: 2 << 20)))
        var losses = 0
        while true {
            let wanted = Int.random(in: 1...100_000, using: &random)
            let outcome = try connection.read { $0.stdout.count >= wanted }
            received += outcome.stdout
            if outcome.report != nil { break }
            connection.close()
            losses += 1
            if losses % 3 == 0 {
                agent.stopListening()
                try agent.listenAgain()
            }
            connection = try agent.open(.attach(AttachRequest(processID: "main", offset: UInt64(received.count))))
            #expect(connection.first == UInt64(received.count))
        }
        #expect(losses > 5)
        #expect(received == Self.expected(size))
    }

    // MARK: Recorder

    @Test("of the head waits for its acknowledgement, from the highest epoch only")
    func head() throws {
        let agent = try TestAgent()
        let ring = 256 * 1024
        // Nobody reads and nobody acknowledges: main is held once its ring is full of head bytes.
        let start = StartRequest.shell(
            Self.lines(2_000_000), id: "main", bufferBytes: UInt32(ring), headBytes: 1 << 20, isRetained: true, flow: .detached)
        guard case .attached = try agent.ask(.start(start)) else { throw TestAgent.Failure.unexpected("not attached") }
        // Nothing is read any more once there is less than 64 KiB of room.
        let held = try waitUntilHeld(agent, "main", atLeast: UInt64(ring - 64 * 1024))
        #expect(held <= UInt64(ring))
        let old = try agent.open(.attach(AttachRequest(processID: "main", flow: .recorder, epoch: 4)))
        _ = try old.read { $0.stdout.count >= 100_000 }
        let new = try agent.open(.attach(AttachRequest(processID: "main", flow: .recorder, epoch: 5)))
        #expect(try old.outcome().failure?.code == .conflict, "a newer recorder takes over")
        #expect(try old.nextIfOpen() == nil)
        #expect {
            try agent.open(.attach(AttachRequest(processID: "main", flow: .recorder, epoch: 4)))
        } throws: {
            ($0 as? AgentFailure)?.code == .conflict
        }
        // Another stream's acknowledgement with a lower epoch moves nothing.
        let reader = try agent.open(.attach(AttachRequest(processID: "main", flow: .live)))
        try reader.send(.acknowledge(epoch: 4, offset: 200_000))
        #expect(try waitUntilHeld(agent, "main", atLeast: held) == held)
        var offset: UInt64 = 0
        var text: [UInt8] = []
        while offset < 1 << 20 {
            let outcome = try new.read { !$0.bytes.isEmpty }
            #expect(outcome.gaps.isEmpty)
            text += outcome.stdout
            offset += UInt64(outcome.bytes.count)
            try new.send(.acknowledge(epoch: 5, offset: offset))
        }
        #expect(text == Array(Self.expected(2_000_000)[..<text.count]))
        let rest = try new.outcome()
        #expect(rest.report?.exitCode == 0)
        #expect(offset + UInt64(rest.bytes.count) + rest.gaps.reduce(0, +) == 2_000_008)
    }

    @Test("past the head goes to the recorder in bursts, and at once when the process has ended")
    func bursts() throws {
        // So long a pause that a second burst can only be the one at the end.
        let agent = try TestAgent("--recorder-ms", "600000")
        let recorder = try agent.open(.start(.shell("echo one; read x; echo two; read x; exit 9", id: "main", flow: .recorder, epoch: 1)))
        let reader = try agent.open(.attach(AttachRequest(processID: "main")))
        _ = try recorder.read { $0.text == "one\n" }
        try reader.send(.stdin([0x0A]))
        _ = try reader.read { $0.text == "one\ntwo\n" }
        #expect(!recorder.hasInput)
        try reader.send(.stdin([0x0A]))
        let outcome = try recorder.outcome()
        #expect(outcome.text == "two\n")
        #expect(outcome.report?.exitCode == 9)
    }

    @Test("is not held back by a recorder that does not read, past the head")
    func recorderHoldsNobody() throws {
        let agent = try TestAgent()
        let recorder = try agent.open(.start(.shell(Self.lines(10_000_000), id: "main", headBytes: 0, flow: .recorder, epoch: 1)))
        try agent.waitUntil("the end") { $0.contains { $0.exit != nil } }
        let outcome = try recorder.outcome()
        #expect(UInt64(outcome.bytes.count) + outcome.gaps.reduce(0, +) == 10_000_008)
        #expect(outcome.stdout.suffix(100_000) == Self.expected(10_000_000).suffix(100_000))
    }

    // MARK: Slow and stuck readers

    @Test("held by one of two lossless readers goes on once that one is cut off")
    func slowReader() throws {
        let agent = try TestAgent("--slow-reader-seconds", "1")
        let good = try agent.open(.start(.shell(Self.lines(4_000_000), id: "two", isRetained: true)))
        let stuck = try agent.open(.attach(AttachRequest(processID: "two")))
        let outcome = try good.outcome()
        #expect(outcome.stdout == Self.expected(4_000_000))
        let cut = try stuck.outcome()
        #expect(cut.failure?.code == .slowReader)
        #expect(cut.stdout == Array(Self.expected(4_000_000)[..<cut.stdout.count]), "what came before is whole")
        let resumed = try agent.open(.attach(AttachRequest(processID: "two", offset: UInt64(cut.bytes.count))))
        #expect(resumed.first >= UInt64(cut.bytes.count))
        #expect(try resumed.outcome().report?.exitCode == 0)
    }

    @Test("held by the only lossless reader is held for as long as it takes")
    func onlyReader() throws {
        let agent = try TestAgent("--slow-reader-seconds", "1")
        let only = try agent.open(.start(.shell(Self.lines(4_000_000), id: "one", isRetained: true)))
        _ = try agent.open(.start(.shell("sleep 2.5", id: "clock"))).outcome()
        #expect(try agent.report(of: "one")?.exit == nil)
        #expect(try only.outcome().stdout == Self.expected(4_000_000))
    }

    @Test("held by a stuck reader is dropped once its process was killed, so that the end is not held up")
    func killedWhileStuck() throws {
        let agent = try TestAgent()
        let stuck = try agent.open(.start(.shell("head -c 100000000 /dev/zero; sleep 1000", id: "main", isRetained: true)))
        _ = try waitUntilHeld(agent, "main")
        #expect(try agent.ask(.signal(processID: "main", name: "SIGKILL")) == .done)
        try agent.waitUntil("the end") { $0.contains { $0.exit?.exitCode == 137 } }
        let outcome = try stuck.outcome()
        #expect(outcome.report?.signal == "SIGKILL")
        #expect(UInt64(outcome.bytes.count) + outcome.gaps.reduce(0, +) == outcome.report?.stdoutBytes)
    }
}
