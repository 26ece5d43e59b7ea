import ExecboxTestRandom
import NIOCore
import NIOEmbedded
import NIOWebSocket
import Testing

@testable import ExecboxWebSocket

@Suite("Closing") struct CloseTests {
    /// 1000, 1001, 1002 … as bytes.
    private func code(_ code: WebSocketCloseCode) -> [UInt8] { [UInt8(code.rawValue >> 8), UInt8(code.rawValue & 0xFF)] }

    @Test("by the peer is answered once with its code, and then the connection ends")
    func byPeer() async throws {
        let tested = try await TestedConnection()
        try await tested.receive(.binary, [5])
        try await tested.receive(.connectionClose, code(.goingAway) + [0x68])
        #expect(try await tested.written() == [0x88, 2] + code(.goingAway))
        #expect(tested.connection.end == .closedByPeer(.goingAway, reason: "h"))
        #expect(tested.connection.closedByPeer)
        // What had arrived before is still handed out.
        #expect(await tested.connection.receive() == .binary(ByteBuffer(bytes: [5])))
        #expect(await tested.connection.receive() == nil)
        try await tested.channel.closeFuture.get()
        await #expect(throws: WebSocketError.closed) { try await tested.connection.send(text: "late") }
    }

    @Test("by the peer without a code is answered without one")
    func byPeerWithoutCode() async throws {
        let tested = try await TestedConnection()
        try await tested.receive(.connectionClose)
        #expect(try await tested.written() == [0x88, 0])
        #expect(tested.connection.closeCode == .noCode)
    }

    @Test("by us stands, whatever the peer answers, and waits for the answer")
    func byUs() async throws {
        let tested = try await TestedConnection()
        tested.connection.beginClose(.tooSlow, reason: "slow")
        await tested.channel.testingEventLoop.run()
        #expect(try await tested.written() == [0x88, 6] + code(.tooSlow) + Array("slow".utf8))
        #expect(tested.connection.end == .closedByUs(.tooSlow, reason: "slow"))
        // Still arriving data is drained.
        try await tested.receive(.binary, [1])
        #expect(tested.channel.isActive)
        try await tested.receive(.connectionClose, code(.tooSlow))
        #expect(try await tested.written() == [])
        try await tested.channel.closeFuture.get()
        #expect(!tested.connection.closedByPeer)
        #expect(await tested.connection.receive() == nil)
    }

    @Test("by us ends after 5 s if the peer does not answer")
    func deadline() async throws {
        let tested = try await TestedConnection()
        tested.connection.beginClose(.normal)
        await tested.advance(.milliseconds(4999))
        #expect(tested.channel.isActive)
        await tested.advance(.milliseconds(1))
        try await tested.channel.closeFuture.get()
        #expect(tested.connection.end == .closedByUs(.normal, reason: ""))
    }

    @Test("twice sends one close frame")
    func once() async throws {
        let tested = try await TestedConnection()
        tested.connection.beginClose(.normal)
        tested.connection.beginClose(.internalError, discardingQueued: true)
        await tested.channel.testingEventLoop.run()
        #expect(try await tested.written() == [0x88, 2] + code(.normal))
    }

    @Test("cuts a long reason at a character")
    func longReason() async throws {
        let tested = try await TestedConnection()
        tested.connection.beginClose(.normal, reason: String(repeating: "é", count: 200))
        await tested.channel.testingEventLoop.run()
        #expect(try await tested.written().prefix(2) == [0x88, 124])
    }

    @Test("without a frame is a lost connection, never a close by the peer")
    func lost() async throws {
        let tested = try await TestedConnection()
        try await tested.channel.close()
        #expect(tested.connection.closeCode == .lost)
        #expect(await tested.connection.receive() == nil)
    }

    @Test(
        "answers a violation with its code and drains",
        arguments: [
            (TestedConnection.bytes(.binary, masked: false), WebSocketCloseCode.protocolError),
            (ByteBuffer(bytes: [0xC2, 0x80, 0, 0, 0, 0]), .protocolError), (ByteBuffer(bytes: [0x09, 0x80, 0, 0, 0, 0]), .protocolError),
            (ByteBuffer(bytes: [0x89, 0xFE, 0x01, 0x00, 0, 0, 0, 0]), .protocolError),
            (TestedConnection.bytes(.text, [0xFF]), .invalidText),
            (TestedConnection.bytes(.continuation), .protocolError), (TestedConnection.bytes(.connectionClose, [1]), .protocolError),
            (ByteBuffer(bytes: [0x82, 0xFF, 0, 0, 0, 0, 0, 0x10, 0, 0x01, 0, 0, 0, 0]), .tooBig),
            (ByteBuffer(bytes: [0x82, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), .tooBig),
        ])
    func violations(_ bytes: ByteBuffer, _ expected: WebSocketCloseCode) async throws {
        let tested = try await TestedConnection()
        _ = try? await tested.channel.writeInbound(bytes)
        let answer = try await tested.written()
        #expect(answer.first == 0x88)
        #expect(Array(answer.dropFirst(2).prefix(2)) == code(expected))
        #expect(tested.connection.closeCode == expected && !tested.connection.closedByPeer)
        _ = try? await tested.receive(.binary, [1])
        #expect(try await tested.written() == [])
        await tested.advance(.seconds(5))
        try await tested.channel.closeFuture.get()
    }

    @Test("and everything else survives random bytes", arguments: 0..<8)
    func randomBytes(_ seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<150 {
            let tested = try await TestedConnection(role: Bool.random(using: &generator) ? .server : .client)
            for _ in 0..<Int.random(in: 1...12, using: &generator) {
                var bytes: ByteBuffer
                if Bool.random(using: &generator) {
                    let payload = (0..<Int.random(in: 0...130, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
                    let opcode = WebSocketOpcode(encodedWebSocketOpcode: UInt8.random(in: 0...15, using: &generator)) ?? .binary
                    bytes = TestedConnection.bytes(
                        opcode, payload, fin: Bool.random(using: &generator), masked: Int.random(in: 0...7, using: &generator) > 0)
                } else {
                    let length = Int.random(in: 1...40, using: &generator)
                    bytes = ByteBuffer(bytes: (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) })
                }
                while let part = bytes.readSlice(length: min(bytes.readableBytes, Int.random(in: 1...50, using: &generator))),
                    part.readableBytes > 0
                {
                    guard tested.channel.isActive else { break }
                    _ = try? await tested.channel.writeInbound(part)
                }
            }
            tested.connection.beginClose(.normal)
            await tested.advance(.seconds(200))
            #expect(!tested.channel.isActive)
            #expect(tested.connection.end != nil)
            while await tested.connection.receive() != nil {}
        }
    }
}
