import ExecboxWire
import Testing

@Suite("An agent message")
struct AgentMessageTests {
    static let report = ExitReport(
        processID: "main", cause: .outOfMemory, exitCode: 137, signal: "SIGKILL", elapsedMicroseconds: 1, stdoutBytes: 1 << 40,
        stderrBytes: 3,
        cpuMicroseconds: 4, memoryPeakBytes: 5, oomKills: 6)

    static let all: [AgentMessage] = [
        .hello(Hello(agentVersion: "1.2.3", bootID: Array(0..<16), mainStarted: true)),
        .secret([1, 2, 3]),
        .start(
            StartRequest(
                processID: "exec-1", arguments: ["sh", "-c", "", "é\n"], environment: ["A=1", "=x"], workingDirectory: "/tmp",
                createsWorkingDirectory: true, user: "nobody:1", terminal: .init(columns: 80, rows: 65535), opensStdin: false,
                bufferBytes: 7,
                headBytes: 1 << 33, timeoutMs: .max, isRetained: true, flow: .recorder, sendsStdin: false, epoch: 9)),
        .start(StartRequest(processID: "main", arguments: ["true"], flow: .detached)),
        .attach(AttachRequest(processID: "main", offset: 1 << 50, flow: .live, sendsStdin: false, epoch: 3)),
        .signal(processID: "main", name: "SIGTERM"),
        .resize(processID: "x", columns: 1, rows: 2),
        .hangup(processID: "x"),
        .list,
        .stats,
        .setDeadline(seconds: .max),
        .shutdown(signal: "SIGTERM", graceMs: 10_000),
        .dismiss,
        .done,
        .failed(AgentFailure(.slowReader, "too slow: é")),
        .attached(first: 1, end: .max),
        .acknowledge(epoch: 1, offset: 2),
        .exited(report),
        .processes([
            ProcessReport(processID: "a", pid: 1, elapsedMicroseconds: 2, stdoutBytes: 3, stderrBytes: 4, firstOffset: 5),
            ProcessReport(processID: "b", pid: 0, elapsedMicroseconds: 2, stdoutBytes: 3, stderrBytes: 4, firstOffset: 5, exit: report),
        ]),
        .statistics(
            SandboxStatistics(
                cpuMicroseconds: 1, memoryBytes: 2, memoryPeakBytes: 3, memoryLimitBytes: 4, processCount: 5, networkReceivedBytes: 6,
                networkSentBytes: 7, oomKills: 8, uptimeMicroseconds: 9)),
    ]

    static func decode(_ bytes: [UInt8]) throws -> AgentMessage {
        var decoder = PacketDecoder()
        decoder.append(bytes)
        let packet = try #require(try decoder.next())
        #expect(decoder.bufferedByteCount == 0)
        return try AgentMessage(type: packet.type, payload: packet.payload)
    }

    @Test("comes back as it was sent", arguments: all)
    func roundTrip(_ message: AgentMessage) throws {
        #expect(try Self.decode(message.bytes) == message)
    }

    @Test("of every type is among those, and leaves the places of files, trees and ports free")
    func types() {
        #expect(Set(Self.all.map(\.type)) == Set(AgentMessageType.allCases))
        for type in UInt8(0x2C)...0x37 { #expect(AgentMessageType(rawValue: type) == nil) }
    }

    @Test("cut short anywhere, or with a byte too much, is refused", arguments: all)
    func cut(_ message: AgentMessage) {
        let payload = message.bytes.dropFirst(5)
        for count in 0..<payload.count {
            #expect(throws: WireError.self) { try AgentMessage(type: message.type.rawValue, payload: payload.prefix(count)) }
        }
        #expect(throws: WireError.self) { try AgentMessage(type: message.type.rawValue, payload: Array(payload) + [0]) }
    }

    @Test("has exactly these bytes")
    func golden() {
        #expect(AgentMessage.attached(first: 1, end: 258).bytes == [0x42, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2])
        #expect(AgentMessage.list.bytes == [0x27, 0, 0, 0, 0])
        #expect(AgentMessage.signal(processID: "m", name: "9").bytes == [0x24, 0, 0, 0, 10, 0, 0, 0, 1, 0x6D, 0, 0, 0, 1, 0x39])
        #expect(AgentMessage.failed(AgentFailure(.busy, "x")).bytes == [0x41, 0, 0, 0, 6, 8, 0, 0, 0, 1, 0x78])
    }

    @Test("with fields that cannot be is refused")
    func impossible() {
        func refused(_ type: AgentMessageType, _ payload: [UInt8]) -> Bool {
            (try? AgentMessage(type: type.rawValue, payload: payload)) == nil
        }
        // A list that announces more than its bytes can hold; a long id; text that is not UTF-8; a flag of 2; no arguments.
        #expect(refused(.processes, [0, 0, 0x0F, 0xFF]))
        #expect(refused(.hangup, [0, 0, 0, 129] + [UInt8](repeating: 0x61, count: 129)))
        #expect(refused(.hangup, [0, 0, 0, 1, 0xFF]))
        #expect(
            refused(
                .hello,
                Array(AgentMessage.hello(Hello(agentVersion: "", bootID: Array(0..<16), mainStarted: false)).bytes[5...].dropLast()) + [2]))
        #expect(refused(.start, Array(AgentMessage.start(StartRequest(processID: "a", arguments: [])).bytes[5...])))
        #expect(refused(.start, Array(AgentMessage.start(StartRequest(processID: "", arguments: ["a"])).bytes[5...])))
        #expect(throws: WireError.unknownType(0x2C)) { try AgentMessage(type: 0x2C, payload: []) }
        #expect(throws: WireError.tooLong(length: AgentMessage.maxPayloadLength + 1, limit: AgentMessage.maxPayloadLength)) {
            try AgentMessage(type: 0x21, payload: [UInt8](repeating: 0, count: AgentMessage.maxPayloadLength + 1))
        }
    }

    @Test("cuts a failure's text at 4096 bytes, never inside a character")
    func cutsFailures() throws {
        let text = String(repeating: "a", count: 4095) + "é"
        #expect(
            try Self.decode(AgentMessage.failed(AgentFailure(.internal, text)).bytes)
                == .failed(AgentFailure(.internal, String(repeating: "a", count: 4095))))
    }
}
