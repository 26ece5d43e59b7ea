import ExecboxServer
import ExecboxWebSocket
import NIOCore
import NIOHTTP1
import NIOWebSocket
import Testing

@Suite("The upgrade", .timeLimit(.minutes(1))) struct UpgradeTests {
    private static let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    private static let good = "Authorization: Bearer good\r\n"

    private func upgrade(
        _ path: String = "/v1/echo", key: String = Self.key, authorization: String = Self.good, version: String = "13", more: String = "",
        method: String = "GET", body: String = ""
    ) -> ByteBuffer {
        ByteBuffer(
            string: "\(method) \(path) HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
                + "Sec-WebSocket-Version: \(version)\r\n\(key)\(authorization)\(more)\r\n\(body)")
    }

    private func url(_ server: UpgradeServer.Running, _ path: String = "/v1/echo") -> String { "ws://127.0.0.1:\(server.port)\(path)" }
    private let headers: HTTPHeaders = ["Authorization": "Bearer good"]

    @Test("carries a stream, answers pings, and closes with the client's code")
    func echo() async throws {
        try await UpgradeServer.with { server in
            let (connection, answer) = try await WebSocketClient().connect(
                url(server), headers: headers, subprotocols: ["other", "execbox.v1", "execbox.bearer.secret"])
            #expect(connection.subprotocol == "execbox.v1")
            #expect(answer["X-Test"] == ["yes"])
            for size in [0, 5, 1 << 20] {
                let data = ByteBuffer(repeating: 3, count: size)
                try await connection.send(binary: data)
                #expect(await connection.receive() == .binary(data))
            }
            await connection.close(.goingAway)
            #expect(connection.end == .closedByUs(.goingAway, reason: ""))
            let raw = try await RawClient.exchange(
                port: server.port,
                [
                    upgrade(), TestedConnection.bytes(.ping, [0x70, 0x6F]), TestedConnection.bytes(.connectionClose, [0x0F, 0xA0]),
                ])
            #expect(raw.hasPrefix("HTTP/1.1 101 Switching Protocols\r\n"))
            #expect(raw.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
            #expect(raw.hasSuffix("\r\n\r\n\u{8A}\u{02}po\u{88}\u{02}\u{0F}\u{A0}"))
        }
    }

    @Test("is refused with the router's own answer: status and JSON body")
    func refused() async throws {
        try await UpgradeServer.with { server in
            let unauthorized = try await RawClient.exchange(port: server.port, [upgrade(authorization: "")])
            #expect(unauthorized.hasPrefix("HTTP/1.1 401 Unauthorized\r\n"))
            #expect(unauthorized.contains("\"code\":\"UNAUTHORIZED\""))
            #expect(unauthorized.lowercased().contains("connection: close"))
            let missing = try await RawClient.exchange(port: server.port, [upgrade("/v1/missing")])
            #expect(missing.hasPrefix("HTTP/1.1 404 Not Found\r\n") && missing.contains("no such session"))
            await #expect { try await WebSocketClient().connect(url(server, "/v1/missing"), headers: headers) } throws: { error in
                guard case WebSocketClientError.refused(let status, let fields, let body) = error else { return false }
                return status == 404 && fields["Content-Type"] == ["application/json"]
                    && String(decoding: body, as: UTF8.self).contains("no such session")
            }
        }
    }

    @Test("of a route that is no stream is that route's ordinary answer")
    func noStream() async throws {
        try await UpgradeServer.with { server in
            let answer = try await RawClient.exchange(port: server.port, [upgrade("/health")])
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n") && answer.hasSuffix("\r\n\r\nok"))
        }
    }

    struct Malformed: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let request: @Sendable (UpgradeTests) -> ByteBuffer
    }

    @Test(
        "that is malformed, or none at all, is 426 on a stream route",
        arguments: [
            Malformed(testDescription: "no key") { $0.upgrade(key: "") },
            Malformed(testDescription: "two keys") { $0.upgrade(key: Self.key + Self.key) },
            Malformed(testDescription: "a key that is none") { $0.upgrade(key: "Sec-WebSocket-Key: x\r\n") },
            Malformed(testDescription: "another version") { $0.upgrade(version: "8") },
            Malformed(testDescription: "with a body") { $0.upgrade(more: "Content-Length: 5\r\n", body: "hello") },
            Malformed(testDescription: "with a chunked body") {
                $0.upgrade(more: "Transfer-Encoding: chunked\r\n", body: "5\r\nhello\r\n0\r\n\r\n")
            },
            Malformed(testDescription: "a plain GET") { _ in
                ByteBuffer(string: "GET /v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n\r\n")
            },
        ])
    func malformed(_ test: Malformed) async throws {
        try await UpgradeServer.with { server in
            let answer = try await RawClient.exchange(port: server.port, [test.request(self)]) { $0.contains("UPGRADE_REQUIRED") }
            #expect(answer.hasPrefix("HTTP/1.1 426 Upgrade Required\r\n"))
        }
    }

    @Test("to h2c is passed over: the request is answered as it is")
    func offersHTTP2() async throws {
        try await UpgradeServer.with { server in
            let request =
                "GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n\r\n"
            let answer = try await RawClient.exchange(port: server.port, [ByteBuffer(string: request)]) { $0.hasSuffix("ok") }
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
        }
    }

    @Test("as the second request of a connection is sent to a new one")
    func late() async throws {
        try await UpgradeServer.with { server in
            let first = ByteBuffer(string: "GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            let answer = try await RawClient.with(port: server.port) { client in
                try await client.send(first)
                _ = try await client.read { $0.hasSuffix("ok") }
                try await client.send(upgrade())
                return try await client.read { _ in false }
            }
            #expect(answer.contains("HTTP/1.1 307 Temporary Redirect\r\n"))
            #expect(answer.contains("Location: /v1/echo\r\n"))
        }
    }

    @Test("leaves pipelined requests before and after each other alone")
    func pipelined() async throws {
        try await UpgradeServer.with { server in
            let two = ByteBuffer(
                string: "GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            let answer = try await RawClient.exchange(port: server.port, [two])
            #expect(answer.split(separator: "HTTP/1.1 200 OK").count == 2)
        }
    }

    @Test("is followed by frames that came in the same packet")
    func framesBehindTheHead() async throws {
        try await UpgradeServer.with { server in
            var bytes = upgrade()
            var frame = TestedConnection.bytes(.binary, [0x68, 0x69])
            bytes.writeBuffer(&frame)
            let answer = try await RawClient.exchange(port: server.port, [bytes]) { $0.hasSuffix("\u{82}\u{02}hi") }
            #expect(answer.hasPrefix("HTTP/1.1 101 "))
        }
    }

    @Test("holds the peer to the protocol: unmasked is 1002, too big is 1009")
    func violations() async throws {
        try await UpgradeServer.with { server in
            let unmasked = try await RawClient.exchange(
                port: server.port, [upgrade(), TestedConnection.bytes(.binary, [1], masked: false)]
            ) { $0.contains("\u{88}") }
            #expect(unmasked.contains("\u{03}\u{EA}a client must mask its frames"))
            let header = ByteBuffer(bytes: [0x82, 0xFF, 0, 0, 0, 0, 0, 0x10, 0, 0x01, 0, 0, 0, 0])
            let tooBig = try await RawClient.exchange(port: server.port, [upgrade(), header]) { $0.contains("1048576 bytes") }
            #expect(tooBig.contains("\u{03}\u{F1}"))
        }
    }

    @Test("ends with 1000 when the stream returns and 1011 when it fails")
    func endsOfStream() async throws {
        try await UpgradeServer.with { server in
            for (text, code) in [("return", WebSocketCloseCode.normal), ("throw", .internalError)] {
                let (connection, _) = try await WebSocketClient().connect(url(server), headers: headers)
                try await connection.send(text: text)
                #expect(await connection.receive() == nil)
                #expect(connection.end == .closedByPeer(code, reason: ""))
                await connection.close()
            }
        }
    }

    @Test("and a graceful shutdown: streams get 1001, idle and half-sent connections end at once")
    func shutdown() async throws {
        let clock = ContinuousClock()
        try await UpgradeServer.with { server in
            let (connection, _) = try await WebSocketClient().connect(url(server), headers: headers)
            try await connection.send(binary: ByteBuffer(integer: 1))
            #expect(await connection.receive() != nil)
            let start = clock.now
            try await withThrowingTaskGroup(of: Void.self) { group in
                // A socket without a byte, one with half a head, one kept alive.
                for request in ["", "GET /hea", "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"] {
                    group.addTask { _ = try await RawClient.exchange(port: server.port, [ByteBuffer(string: request)]) }
                }
                try await Task.sleep(for: .milliseconds(300))
                await server.shutDown()
                #expect(await connection.receive() == nil)
                #expect(connection.closeCode == .goingAway && connection.closedByPeer)
                await connection.close()
                try await group.waitForAll()
            }
            // Less than any time-out that would end them otherwise.
            #expect(clock.now - start < .seconds(9))
        }
    }

    @Test("does not wait for ever for a first request")
    func firstRequestTimeout() async throws {
        var options = HTTPConnectionOptions()
        options.firstRequestTimeout = .milliseconds(200)
        try await UpgradeServer.with(options: options) { server in
            let answer = try await RawClient.exchange(port: server.port, [ByteBuffer(string: "GET /health HTT")])
            #expect(answer == "")
        }
    }

    @Test("refuses heads over 32 KiB and what is no HTTP, in the shape of all errors")
    func malformedHeads() async throws {
        try await UpgradeServer.with { server in
            let long = String(repeating: "x", count: 33 * 1024)
            let overflow = try await RawClient.exchange(
                port: server.port, [ByteBuffer(string: "GET /health HTTP/1.1\r\nHost: x\r\nX-Long: \(long)\r\n\r\n")])
            #expect(overflow.hasPrefix("HTTP/1.1 413 Payload Too Large\r\n") && overflow.contains("\"limitBytes\":32768"))
            let target = try await RawClient.exchange(
                port: server.port, [ByteBuffer(string: "GET /health?\(long) HTTP/1.1\r\nHost: x\r\n\r\n")])
            #expect(target.hasPrefix("HTTP/1.1 413 Payload Too Large\r\n"))
            let garbage = try await RawClient.exchange(port: server.port, [ByteBuffer(string: "\u{16}\u{03}\u{01}hello\r\n\r\n")])
            #expect(garbage.hasPrefix("HTTP/1.1 400 Bad Request\r\n") && garbage.contains("\"code\":\"BAD_REQUEST\""))
            let second = try await RawClient.with(port: server.port) { client in
                try await client.send(ByteBuffer(string: "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"))
                _ = try await client.read { $0.hasSuffix("ok") }
                try await client.send(ByteBuffer(string: "nonsense\r\n\r\n"))
                return try await client.read { _ in false }
            }
            #expect(second.contains("HTTP/1.1 400 Bad Request") && second.contains("BAD_REQUEST"))
        }
    }
}
