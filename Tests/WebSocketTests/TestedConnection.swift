import NIOCore
import NIOEmbedded
import NIOWebSocket

@testable import ExecboxWebSocket

/// A connection on a channel without a socket, whose clock the test moves.
struct TestedConnection {
    let channel: NIOAsyncTestingChannel
    let connection: WebSocketConnection

    init(role: WebSocketRole = .server, options: WebSocketOptions = .init()) async throws {
        let channel = NIOAsyncTestingChannel()
        self.channel = channel
        try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1))
        connection = try await channel.testingEventLoop.executeInContext {
            try WebSocketConnection.install(on: channel, role: role, options: options)
        }
    }

    /// What a client with this mask would write.
    static func bytes(_ opcode: WebSocketOpcode, _ payload: [UInt8] = [], fin: Bool = true, masked: Bool = true) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeInteger((fin ? 0x80 : 0) | UInt8(webSocketOpcode: opcode))
        let bit: UInt8 = masked ? 0x80 : 0
        if payload.count < 126 {
            buffer.writeInteger(bit | UInt8(payload.count))
        } else {
            buffer.writeInteger(bit | 127)
            buffer.writeInteger(UInt64(payload.count))
        }
        let key: [UInt8] = [7, 0, 255, 3]
        if masked { buffer.writeBytes(key) }
        buffer.writeBytes(payload.enumerated().map { masked ? $1 ^ key[$0 % 4] : $1 })
        return buffer
    }

    func receive(_ opcode: WebSocketOpcode, _ payload: [UInt8] = []) async throws {
        try await channel.writeInbound(Self.bytes(opcode, payload))
    }

    /// All bytes written so far.
    func written() async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while let buffer = try await channel.readOutbound(as: ByteBuffer.self) { bytes += buffer.readableBytesView }
        return bytes
    }

    func advance(_ time: TimeAmount) async { await channel.testingEventLoop.advanceTime(by: time) }
}
