import ExecboxTestRandom
import NIOCore
import NIOEmbedded
import NIOWebSocket
import Testing

@testable import ExecboxWebSocket

@Suite("Frames") struct FrameReceiverTests {
    private func frame(_ opcode: WebSocketOpcode, _ bytes: [UInt8] = [], fin: Bool = true, masked: Bool = true) -> WebSocketFrame {
        var data = ByteBuffer(bytes: bytes)
        let key = masked ? WebSocketMaskingKey([1, 2, 3, 4]) : nil
        if let key { data.webSocketMask(key) }
        return WebSocketFrame(fin: fin, opcode: opcode, maskKey: key, data: data)
    }

    private func events(_ frames: [WebSocketFrame], role: WebSocketRole = .server, max: Int = 10) -> [FrameReceiver.Event] {
        var receiver = FrameReceiver(role: role, maxMessageBytes: max)
        return frames.map { receiver.receive($0) }
    }

    private func code(_ event: FrameReceiver.Event?) -> WebSocketCloseCode? {
        if case .violation(let code, _) = event { code } else { nil }
    }

    @Test("are put together from fragments, with control frames between them")
    func aggregates() {
        let found = events([
            frame(.binary, [1], fin: false), frame(.ping, [9]), frame(.continuation, [], fin: false), frame(.continuation, [2, 3]),
            frame(.text, Array("é".utf8).prefix(1) + [], fin: false), frame(.continuation, [0xA9]), frame(.binary),
        ])
        #expect(
            found == [
                .none, .ping(ByteBuffer(bytes: [9])), .none, .message(.binary(ByteBuffer(bytes: [1, 2, 3]))), .none, .message(.text("é")),
                .message(.binary(ByteBuffer())),
            ])
    }

    @Test("of a client must be masked, of a server must not be")
    func checksMasks() {
        #expect(code(events([frame(.binary, masked: false)]).last) == .protocolError)
        #expect(code(events([frame(.ping, masked: false)]).last) == .protocolError)
        #expect(code(events([frame(.binary, masked: true)], role: .client).last) == .protocolError)
        #expect(events([frame(.binary, [1], masked: false)], role: .client) == [.message(.binary(ByteBuffer(bytes: [1])))])
    }

    @Test("out of order, with reserved bits or unknown opcodes end the connection with 1002")
    func refusesDisorder() {
        #expect(code(events([frame(.continuation)]).last) == .protocolError)
        #expect(code(events([frame(.binary, fin: false), frame(.text)]).last) == .protocolError)
        #expect(code(events([frame(.binary), frame(.continuation)]).last) == .protocolError)
        var reserved = frame(.binary)
        reserved.rsv1 = true
        #expect(code(events([reserved]).last) == .protocolError)
        for raw in [3, 7, 0xB, 0xF] as [UInt8] {
            #expect(code(events([frame(WebSocketOpcode(encodedWebSocketOpcode: raw) ?? .ping)]).last) == .protocolError)
        }
    }

    @Test("of a message over the limit end it with 1009, whole or in parts")
    func boundsMessages() {
        let ten = [UInt8](repeating: 0, count: 10)
        #expect(events([frame(.binary, ten)]) == [.message(.binary(ByteBuffer(bytes: ten)))])
        #expect(code(events([frame(.binary, ten + [0])]).last) == .tooBig)
        #expect(code(events([frame(.binary, ten, fin: false), frame(.continuation, [0])]).last) == .tooBig)
    }

    @Test("of text must be UTF-8: 1007")
    func checksText() {
        #expect(code(events([frame(.text, [0xFF])]).last) == .invalidText)
        #expect(code(events([frame(.text, [0xC3])]).last) == .invalidText)
        #expect(code(events([frame(.connectionClose, [0x03, 0xE8, 0xFF])]).last) == .invalidText)
    }

    @Test("of a close carry a code that may be sent, or none")
    func readsCloses() {
        #expect(events([frame(.connectionClose)]) == [.close(.noCode, reason: "")])
        #expect(events([frame(.connectionClose, [0x03, 0xE9, 0x68, 0x69])]) == [.close(.goingAway, reason: "hi")])
        for bad: [UInt8] in [
            [0x03], [0, 0], [0x03, 0xEC], [0x03, 0xED], [0x03, 0xEE], [0x03, 0xF7], [0x0B, 0xB7], [0x13, 0x88], [0xFF, 0xFF],
        ] {
            #expect(code(events([frame(.connectionClose, bad)]).last) == .protocolError)
        }
    }

    @Test("are masked as RFC 6455 says, at any length and alignment")
    func masks() {
        var generator = SeededGenerator(seed: 1)
        for length in 0..<70 {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let key: [UInt8] = (0..<4).map { _ in UInt8.random(in: 0...255, using: &generator) }
            guard let nioKey = WebSocketMaskingKey(key) else { continue }
            var buffer = ByteBuffer(bytes: [0] + bytes)
            buffer.moveReaderIndex(forwardBy: 1)
            buffer.toggleMask(MaskingKey(nioKey))
            #expect(Array(buffer.readableBytesView) == bytes.enumerated().map { $1 ^ key[$0 % 4] })
        }
    }

    @Test("are written so that NIO's decoder reads them back", arguments: [WebSocketRole.client, .server])
    func writes(_ role: WebSocketRole) throws {
        var batch = FrameBatch(role: role, allocator: ByteBufferAllocator())
        let lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 16 * 1024 - 1, 16 * 1024, 70_000, 3]
        for length in lengths { batch.append(.binary, ByteBuffer(repeating: UInt8(truncatingIfNeeded: length), count: length), hint: 1000) }
        let total = batch.byteCount
        var stream = ByteBuffer()
        for var buffer in batch.take() { stream.writeBuffer(&buffer) }
        #expect(stream.readableBytes == total)
        var receiver = FrameReceiver(role: role == .client ? .server : .client, maxMessageBytes: 1 << 20)
        let channel = EmbeddedChannel(handler: ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: 1 << 20)))
        try channel.writeInbound(stream)
        var frames: [WebSocketFrame] = []
        while let frame = try channel.readInbound(as: WebSocketFrame.self) { frames.append(frame) }
        #expect(frames.count == lengths.count)
        for (frame, length) in zip(frames, lengths) {
            let expected = ByteBuffer(repeating: UInt8(truncatingIfNeeded: length), count: length)
            #expect(receiver.receive(frame) == .message(.binary(expected)))
        }
    }
}
