import NIOCore
import NIOEmbedded
import NIOWebSocket
import Testing

@testable import ExecboxWebSocket

@Suite("Pings and silence") struct KeepAliveTests {
    @Test("a ping goes out every 20 s")
    func pings() async throws {
        let tested = try await TestedConnection()
        await tested.advance(.seconds(19))
        #expect(try await tested.written() == [])
        await tested.advance(.seconds(1))
        #expect(try await tested.written().prefix(2) == [0x89, 8])
        try await tested.receive(.pong, [1])
        await tested.advance(.seconds(20))
        #expect(try await tested.written().prefix(2) == [0x89, 8])
        #expect(tested.connection.end == nil)
    }

    @Test("a ping is answered with its payload, a flood of them at least with the last one's")
    func pongs() async throws {
        let tested = try await TestedConnection()
        try await tested.receive(.ping, [1, 2, 3])
        #expect(try await tested.written() == [0x8A, 3, 1, 2, 3])
        var flood = ByteBuffer()
        for number in 0..<100 {
            var ping = TestedConnection.bytes(.ping, [UInt8(number)])
            flood.writeBuffer(&ping)
        }
        try await tested.channel.writeInbound(flood)
        #expect(try await tested.written().suffix(3) == [0x8A, 1, 99])
    }

    @Test("a peer that is silent for 60 s is dropped")
    func dropsSilent() async throws {
        let tested = try await TestedConnection()
        for _ in 0..<59 { await tested.advance(.seconds(1)) }
        #expect(tested.connection.end == nil)
        await tested.advance(.seconds(1))
        #expect(tested.connection.closeCode == .lost)
        #expect(!tested.connection.closedByPeer)
        #expect(await tested.connection.receive() == nil)
    }

    @Test("anything that arrives counts as life")
    func anythingIsLife() async throws {
        let tested = try await TestedConnection()
        for round in 0..<10 {
            await tested.advance(.seconds(50))
            try await tested.receive(round % 2 == 0 ? .pong : .binary)
        }
        #expect(tested.connection.end == nil)
    }

    @Test("silence is not held against a peer while we do not read")
    func pausedReading() async throws {
        var options = WebSocketOptions()
        options.maxInboxMessages = 2
        let tested = try await TestedConnection(options: options)
        try await tested.receive(.binary, [1])
        try await tested.receive(.binary, [2])
        for _ in 0..<300 { await tested.advance(.seconds(1)) }
        #expect(tested.connection.end == nil)
        #expect(await tested.connection.receive() == .binary(ByteBuffer(bytes: [1])))
        #expect(await tested.connection.receive() == .binary(ByteBuffer(bytes: [2])))
        for _ in 0..<130 { await tested.advance(.seconds(1)) }
        #expect(tested.connection.closeCode == .lost)
    }
}
