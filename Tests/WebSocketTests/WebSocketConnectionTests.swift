import ExecboxWebSocket
import NIOCore
import Synchronization
import Testing

@Suite("A WebSocket connection", .timeLimit(.minutes(1))) struct WebSocketConnectionTests {
    @Test("carries messages of every size both ways, in order")
    func echoes() async throws {
        let sizes = [0, 1, 125, 126, 65_535, 65_536, 1 << 20]
        try await SocketPair.with { server in
            for await message in server.messages {
                switch message {
                case .binary(let data): try await server.send(binary: data)
                case .text(let text): try await server.send(text: text)
                }
            }
        } client: { client in
            for size in sizes {
                let data = ByteBuffer(bytes: (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) })
                try await client.send(binary: data)
                #expect(await client.receive() == .binary(data))
            }
            try await client.send(text: "grüße 😀")
            try await client.send(text: "")
            #expect(await client.receive() == .text("grüße 😀"))
            #expect(await client.receive() == .text(""))
        }
    }

    @Test("loses nothing that comes in one packet with the 101", .timeLimit(.minutes(1)))
    func framesWithTheAnswer() async throws {
        for _ in 0..<100 {
            try await SocketPair.with { server in
                try await server.send(binary: (0..<40).map { ByteBuffer(repeating: 0xFF, count: $0 * 50) })
            } client: { client in
                for number in 0..<40 { #expect(await client.receive() == .binary(ByteBuffer(repeating: 0xFF, count: number * 50))) }
                #expect(await client.receive() == nil)
                #expect(client.closeCode == .normal)
            }
        }
    }

    @Test("keeps each sender's order and splits no message when many tasks send")
    func manySenders() async throws {
        try await SocketPair.with { server in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for sender in 0..<8 as Range<UInt8> {
                    group.addTask {
                        for number in 0..<500 as Range<UInt32> {
                            var data = ByteBuffer(integer: sender)
                            data.writeInteger(number)
                            data.writeRepeatingByte(sender, count: Int(number) * 7)
                            try await server.send(binary: data)
                        }
                    }
                }
                try await group.waitForAll()
            }
        } client: { client in
            var next = [UInt32](repeating: 0, count: 8)
            while case .binary(var data) = await client.receive() {
                guard let sender = data.readInteger(as: UInt8.self), let number = data.readInteger(as: UInt32.self) else { break }
                #expect(number == next[Int(sender)])
                next[Int(sender)] = number + 1
                #expect(data.readableBytes == Int(number) * 7 && data.readableBytesView.allSatisfy { $0 == sender })
            }
            #expect(next == [UInt32](repeating: 500, count: 8))
            #expect(client.end == .closedByPeer(.normal, reason: ""))
        }
    }

    @Test("makes a sender wait for a slow reader, with little in between")
    func backPressure() async throws {
        let sent = Mutex(0)
        let block = ByteBuffer(repeating: 1, count: 64 * 1024)
        try await SocketPair.with { server in
            for _ in 0..<1000 {
                try await server.send(binary: block)
                sent.withLock { $0 += 1 }
            }
        } client: { client in
            // Nobody reads: the sender must come to rest, with kernel buffers and ours full.
            var before = -1
            while sent.withLock({ $0 }) != before {
                before = sent.withLock { $0 }
                try await Task.sleep(for: .milliseconds(300))
            }
            #expect(before < 1000)
            var received = 0
            while case .binary(let data) = await client.receive() { received += data.readableBytes }
            #expect(received == 1000 * block.readableBytes)
        }
    }

    @Test("delivers everything queued before the close")
    func closeFollowsMessages() async throws {
        let count = 3000
        try await SocketPair.with { server in
            try await server.send(binary: (0..<count).map { ByteBuffer(integer: $0) })
            await server.close(WebSocketCloseCode(rawValue: 4409), reason: "why")
        } client: { client in
            try await Task.sleep(for: .milliseconds(50))
            for number in 0..<count { #expect(await client.receive() == .binary(ByteBuffer(integer: number))) }
            #expect(await client.receive() == nil)
            #expect(client.end == .closedByPeer(.conflict, reason: "why"))
        }
    }

    @Test("that is closed while discarding ends in time though the peer is stuck")
    func discardingClose() async throws {
        var options = WebSocketOptions()
        options.closeTimeout = .milliseconds(200)
        let block = ByteBuffer(repeating: 1, count: 256 * 1024)
        try await SocketPair.with(serverOptions: options) { server in
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    await #expect(throws: WebSocketError.closed) { while true { try await server.send(binary: block) } }
                }
                try? await Task.sleep(for: .milliseconds(200))
                await server.close(.goingAway, discardingQueued: true)
            }
            #expect(server.end == .closedByUs(.goingAway, reason: ""))
        } client: { client in
            try await client.channel.closeFuture.get()
        }
    }

    @Test("lets a waiting sender and reader go when their task is cancelled")
    func cancellation() async throws {
        let block = ByteBuffer(repeating: 1, count: 1 << 20)
        try await SocketPair.with { server in
            while await server.receive() != nil {}
        } client: { client in
            let reader = Task { await client.receive() }
            reader.cancel()
            #expect(await reader.value == nil)
            try await client.send(binary: block)
        }
        try await SocketPair.with { server in
            let sender = Task { while true { try await server.send(binary: block) } }
            try await Task.sleep(for: .milliseconds(100))
            sender.cancel()
            await #expect(throws: CancellationError.self) { try await sender.value }
            server.channel.close(promise: nil)
        } client: { client in
            try await client.channel.closeFuture.get()
            #expect(client.closeCode == .lost)
        }
    }

    @Test("refuses a message over the limit with 1009")
    func tooBig() async throws {
        try await SocketPair.with { server in
            #expect(await server.receive() == nil)
            #expect(server.closeCode == .tooBig && !server.closedByPeer)
        } client: { client in
            try await client.send(binary: ByteBuffer(repeating: 0, count: (1 << 20) + 1))
            #expect(await client.receive() == nil)
            #expect(client.closeCode == .tooBig && client.closedByPeer)
        }
    }

    @Test("that cannot be opened says why")
    func refusesToOpen() async throws {
        var client = WebSocketClient()
        client.timeout = .milliseconds(300)
        await #expect { try await client.connect("nonsense") } throws: { error in
            if case WebSocketClientError.invalidURL = error { true } else { false }
        }
        await #expect { try await client.connect("ws://127.0.0.1:1/") } throws: { error in
            if case WebSocketClientError.unreachable = error { true } else { false }
        }
        // Accepts by backlog and never answers.
        let listener = try await SilentListener.start()
        await #expect { try await client.connect("ws://127.0.0.1:\(listener.port)/") } throws: { error in
            if case WebSocketClientError.timedOut = error { true } else { false }
        }
        try await listener.stop()
    }
}
