import ExecboxCurl
import Glibc
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1)))
struct CurlClientTests {
    private let client = CurlClient()

    private func request(
        _ server: LocalServer, method: String = "GET", path: String = "/", body: CurlRequest.Body = .none,
        timeouts: CurlTimeouts = CurlTimeouts(total: .seconds(50))
    ) -> CurlRequest {
        CurlRequest(method: method, url: "http://test\(path)", body: body, unixSocketPath: server.path, timeouts: timeouts)
    }

    private static func answer(_ body: String, status: String = "200 OK", headers: String = "") -> String {
        "HTTP/1.1 \(status)\r\nContent-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)"
    }

    @Test("status, headers and body arrive, and the request is what was asked for")
    func statusHeadersAndBodyArriveAndTheRequestIsWhatWasAskedFor() async throws {
        let seen = Mutex("")
        let server = try LocalServer { connection in
            seen.withLock { $0 = connection.readHead() }
            connection.write(Self.answer("hello", status: "201 Created", headers: "X-One: 1\r\nx-two:  spaced \r\nX-Empty:\r\n"))
        }
        var request = request(server, path: "/a/../b?x=1")
        request.headers = [CurlHeader("X-Ask", "yes"), CurlHeader("X-Nothing", "")]
        let response = try await client.send(request)
        #expect(response.status == 201)
        #expect(String(decoding: response.body, as: UTF8.self) == "hello")
        #expect(response.headers["X-ONE"] == "1")
        #expect(response.headers["x-two"] == "spaced ")
        #expect(response.headers["x-empty"] == "")
        let head = seen.withLock { $0 }
        #expect(head.hasPrefix("GET /a/../b?x=1 HTTP/1.1\r\n"))
        #expect(head.contains("X-Ask: yes\r\n"))
        #expect(head.contains("X-Nothing:\r\n"))
        #expect(!head.contains("Expect"))
    }

    @Test("an interim answer is skipped")
    func anInterimAnswerIsSkipped() async throws {
        let server = try LocalServer { connection in
            _ = connection.readHead()
            connection.write("HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n" + Self.answer("x"))
        }
        let response = try await client.send(request(server))
        #expect(response.status == 200)
        #expect(response.headers["X-Interim"] == nil)
    }

    @Test("a redirect is not followed")
    func aRedirectIsNotFollowed() async throws {
        let server = try LocalServer { connection in
            while !connection.readHead().isEmpty { connection.write(Self.answer("", status: "302 Found", headers: "Location: /b\r\n")) }
        }
        #expect(try await client.send(request(server)).status == 302)
    }

    @Test("bytes are sent with their length and zero bytes survive", arguments: ["POST", "PUT", "PATCH", "DELETE"])
    func bytesAreSentWithTheirLengthAndZeroBytesSurvive(method: String) async throws {
        let server = try LocalServer { connection in
            let head = connection.readHead()
            let isMethod = head.hasPrefix("\(method) / ") && head.contains("Content-Length: 5\r\n") && !head.contains("Content-Type")
            let body = connection.readExactly(5)
            connection.write(Self.answer(isMethod && body == [0, 1, 0, 255, 0] ? "good" : head))
        }
        let response = try await client.send(request(server, method: method, body: .bytes([0, 1, 0, 255, 0])))
        #expect(String(decoding: response.body, as: UTF8.self) == "good")
    }

    @Test("a POST without a body says that it is empty")
    func aPOSTWithoutABodySaysThatItIsEmpty() async throws {
        let server = try LocalServer { connection in
            connection.write(Self.answer(connection.readHead().contains("Content-Length: 0\r\n") ? "good" : "bad"))
        }
        #expect(try await client.send(request(server, method: "POST")).body == Array("good".utf8))
    }

    @Test("an answer to HEAD has no body")
    func anAnswerToHEADHasNoBody() async throws {
        let server = try LocalServer { connection in
            _ = connection.readHead()
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            connection.waitForClose()
        }
        let response = try await client.send(request(server, method: "HEAD"))
        #expect(response.headers["content-length"] == "100")
        #expect(response.body.isEmpty)
    }

    @Test("a chunked answer cut anywhere arrives whole", arguments: [1, 2, 3, 7, 64])
    func aChunkedAnswerCutAnywhereArrivesWhole(cut: Int) async throws {
        let server = try LocalServer { connection in
            _ = connection.readHead()
            let bytes = Array(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n8\r\ndefghijk\r\n1\r\nl\r\n0\r\nX-Trailer: 1\r\n\r\n".utf8
            )
            for start in stride(from: 0, to: bytes.count, by: cut) {
                connection.write(Array(bytes[start..<min(start + cut, bytes.count)]))
                usleep(200)
            }
            connection.waitForClose()
        }
        let response = try await client.send(request(server))
        #expect(String(decoding: response.body, as: UTF8.self) == "abcdefghijkl")
        #expect(response.headers["X-Trailer"] == nil)
    }

    @Test("pieces are handed over as they come")
    func piecesAreHandedOverAsTheyCome() async throws {
        let gate = Gate()
        let server = try LocalServer { connection in
            _ = connection.readHead()
            connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            gate.wait()
            connection.write("6\r\nsecond\r\n0\r\n\r\n")
            connection.waitForClose()
        }
        let pieces = try await client.withResponse(to: request(server)) { response in
            var pieces: [String] = []
            for try await chunk in response.body {
                pieces.append(String(decoding: chunk, as: UTF8.self))
                gate.open()
            }
            return pieces
        }
        #expect(pieces == ["first", "second"])
    }

    @Test("a slow reader holds the server back and gets every byte")
    func aSlowReaderHoldsTheServerBackAndGetsEveryByte() async throws {
        let total = 64 * 1024 * 1024
        let written = Counter()
        let server = try LocalServer { connection in
            _ = connection.readHead()
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: \(total)\r\n\r\n")
            var counter: UInt8 = 0
            var sent = 0
            while sent < total {
                guard connection.write([UInt8](repeating: counter, count: 65536)) else { return }
                counter &+= 1
                sent += 65536
                written.value = sent
            }
        }
        let (received, ahead) = try await client.withResponse(to: request(server)) { response in
            // Nobody reads: the server must come to a stop.
            let last = try await written.settled()
            var received = 0
            for try await chunk in response.body {
                for index in stride(from: 0, to: chunk.count, by: 4096) {
                    #expect(chunk[index] == UInt8(truncatingIfNeeded: (received + index) / 65536))
                }
                received += chunk.count
            }
            return (received, last)
        }
        #expect(received == total)
        #expect(ahead < 2 * 1024 * 1024)
    }

    @Test("a streamed request body is held back while the server does not read, and arrives whole")
    func aStreamedRequestBodyIsHeldBackWhileTheServerDoesNotReadAndArrivesWhole() async throws {
        let gate = Gate()
        let total = 16 * 1024 * 1024
        let server = try LocalServer { connection in
            _ = connection.readHead()
            gate.wait()
            let body = connection.readExactly(total)
            let isRight =
                body.count == total && stride(from: 0, to: total, by: 1000).allSatisfy { body[$0] == UInt8(truncatingIfNeeded: $0 / 4096) }
            connection.write(Self.answer(isRight ? "good" : "bad \(body.count)"))
        }
        let produced = Counter()
        let response = try await client.send(
            request(
                server, method: "PUT",
                body: .stream(length: Int64(total)) { writer in
                    async let ahead = {
                        defer { gate.open() }
                        return try await produced.settled()
                    }()
                    for block in 0..<(total / 4096) {
                        try await writer.write([UInt8](repeating: UInt8(truncatingIfNeeded: block), count: 4096))
                        produced.value = (block + 1) * 4096
                    }
                    let bytesAhead = try await ahead
                    #expect(bytesAhead < 2 * 1024 * 1024)
                }))
        #expect(String(decoding: response.body, as: UTF8.self) == "good")
    }

    @Test("a body of unknown length travels in chunks")
    func aBodyOfUnknownLengthTravelsInChunks() async throws {
        let server = try LocalServer { connection in
            let head = connection.readHead()
            var text = ""
            while !text.hasSuffix("0\r\n\r\n") {
                let more = connection.read(upTo: 1000)
                if more.isEmpty { break }
                text += String(decoding: more, as: UTF8.self)
            }
            let isChunked = head.contains("Transfer-Encoding: chunked\r\n")
            connection.write(Self.answer(isChunked && text == "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" ? "good" : head + text))
        }
        let response = try await client.send(
            request(
                server, method: "POST",
                body: .stream(length: nil) { writer in
                    try await writer.write(Array("abc".utf8))
                    // Apart, or libcurl makes one chunk of both.
                    try await Task.sleep(for: .milliseconds(100))
                    try await writer.write(Array("de".utf8))
                }))
        #expect(String(decoding: response.body, as: UTF8.self) == "good")
    }

    @Test("an answer may stream while the request body is still being sent")
    func anAnswerMayStreamWhileTheRequestBodyIsStillBeingSent() async throws {
        let server = try LocalServer { connection in
            _ = connection.readHead()
            connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in 0..<3 {
                let line = connection.readExactly(9)
                connection.write("4\r\n\(String(decoding: line[3..<7], as: UTF8.self))\r\n")
            }
            _ = connection.readExactly(5)
            connection.write("0\r\n\r\n")
        }
        let (stream, feed) = AsyncStream.makeStream(of: [UInt8].self)
        feed.yield(Array("ping".utf8))
        let count = try await client.withResponse(to: request(server, method: "POST", body: .sequence(stream))) { response in
            var count = 0
            for try await chunk in response.body {
                #expect(chunk == Array("ping".utf8))
                count += 1
                if count < 3 { feed.yield(Array("ping".utf8)) } else { feed.finish() }
            }
            return count
        }
        #expect(count == 3)
    }

    @Test("a failing source ends the request")
    func aFailingSourceEndsTheRequest() async throws {
        struct Broken: Error {}
        let server = try LocalServer { connection in connection.waitForClose() }
        let error = await #expect(throws: CurlError.self) {
            try await client.send(
                request(
                    server, method: "PUT",
                    body: .stream(length: 100) { writer in
                        try await writer.write([1])
                        throw Broken()
                    }))
        }
        #expect(error?.code == .uploadFailed)
    }

    /// Docker answers an archive PUT to a missing path at once and closes, with most of the body unread.
    @Test("an early refusal is read although the body was not", arguments: [true, false])
    func anEarlyRefusalIsReadAlthoughTheBodyWasNot(streamed: Bool) async throws {
        let server = try LocalServer { connection in
            _ = connection.readHead()
            _ = connection.read(upTo: Int.random(in: 1...200_000))
            connection.write("HTTP/1.1 404 Not Found\r\nContent-Length: 14\r\nConnection: close\r\n\r\n{\"message\":42}")
        }
        for _ in 0..<200 {
            let block = [UInt8](repeating: 7, count: 256 * 1024)
            let body: CurlRequest.Body =
                streamed
                ? .stream(length: 8 * 1024 * 1024) { writer in for _ in 0..<32 { try await writer.write(block) } }
                : .bytes([UInt8](repeating: 7, count: 8 * 1024 * 1024))
            let response = try await client.send(request(server, method: "PUT", body: body))
            #expect(response.status == 404)
            #expect(String(decoding: response.body, as: UTF8.self) == "{\"message\":42}")
        }
    }

    @Test("a body over the bound is refused")
    func aBodyOverTheBoundIsRefused() async throws {
        let server = try LocalServer { connection in
            _ = connection.readHead()
            connection.write(Self.answer(String(repeating: "x", count: 2000)))
        }
        let error = await #expect(throws: CurlError.self) { try await client.send(request(server), maximumBodyBytes: 1999) }
        #expect(error?.code == .bodyTooLarge)
        #expect(try await client.send(request(server), maximumBodyBytes: 2000).body.count == 2000)
    }

    @Test("an endless head is refused")
    func anEndlessHeadIsRefused() async throws {
        let server = try LocalServer { connection in
            _ = connection.readHead()
            connection.write("HTTP/1.1 200 OK\r\n")
            while connection.write("X-Filler: \(String(repeating: "x", count: 1000))\r\n") {}
        }
        await #expect(throws: CurlError.self) { try await client.send(request(server)) }
    }

    @Test(
        "a server that closes early is a lost connection",
        arguments: [
            "", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        ])
    func aServerThatClosesEarlyIsALostConnection(answer: String) async throws {
        let server = try LocalServer { connection in
            _ = connection.readHead()
            connection.write(answer)
        }
        let error = await #expect(throws: CurlError.self) { try await client.send(request(server)) }
        #expect(error?.code == .connectionLost)
    }

    @Test("cancelling ends the transfer in the middle of the body and closes the connection")
    func cancellingEndsTheTransferInTheMiddleOfTheBodyAndClosesTheConnection() async throws {
        let closed = Gate()
        let server = try LocalServer { connection in
            _ = connection.readHead()
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nstart")
            connection.waitForClose()
            closed.open()
        }
        let (started, start) = AsyncStream.makeStream(of: Void.self)
        let client = client
        let request = request(server)
        let task = Task {
            try await client.withResponse(to: request) { response in
                for try await _ in response.body { start.yield() }
            }
        }
        for await _ in started { break }
        task.cancel()
        let error = await #expect(throws: CurlError.self) { try await task.value }
        #expect(error?.code == .cancelled)
        await closed.opened()
    }

    @Test("leaving the scope closes a connection whose body was not read")
    func leavingTheScopeClosesAConnectionWhoseBodyWasNotRead() async throws {
        let closed = Gate()
        let server = try LocalServer { connection in
            _ = connection.readHead()
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nstart")
            connection.waitForClose()
            closed.open()
        }
        let status = try await client.withResponse(to: request(server)) { $0.status }
        #expect(status == 200)
        await closed.opened()
    }

    @Test("deadlines end a silent answer")
    func deadlinesEndASilentAnswer() async throws {
        let server = try LocalServer { connection in
            _ = connection.readHead()
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nstart")
            connection.waitForClose()
        }
        for timeouts in [CurlTimeouts(total: .milliseconds(300)), CurlTimeouts(idle: .seconds(1))] {
            let clock = ContinuousClock()
            let began = clock.now
            let error = await #expect(throws: CurlError.self) { try await client.send(request(server, timeouts: timeouts)) }
            #expect(error?.code == .timedOut)
            #expect(clock.now - began < .seconds(10))
        }
    }

    @Test("nobody listening and a missing socket are could-not-connect")
    func nobodyListeningAndAMissingSocketAreCouldNotConnect() async throws {
        let error = await #expect(throws: CurlError.self) {
            try await client.send(CurlRequest(url: "http://x/", unixSocketPath: "/tmp/execbox-no-such.sock"))
        }
        #expect(error?.code == .couldNotConnect)
        #expect(error.map(String.init(describing:)) == "could not connect")
    }

    @Test("what would forge a request is refused")
    func whatWouldForgeARequestIsRefused() async throws {
        for request in [
            CurlRequest(method: "GET /x\r\n", url: "http://x/"), CurlRequest(url: "http://x/ y"), CurlRequest(url: "http://x/\r\nA: b"),
            CurlRequest(url: "http://x/", headers: [CurlHeader("A", "b\r\nC: d")]),
            CurlRequest(url: "http://x/", headers: [CurlHeader("A: b\n", "")]),
            CurlRequest(url: "file:///etc/passwd"),
        ] {
            let error = await #expect(throws: CurlError.self) { try await client.send(request) }
            #expect(error?.code == .invalidRequest)
        }
    }

    @Test("a connection is used again")
    func aConnectionIsUsedAgain() async throws {
        let server = try LocalServer { connection in
            while !connection.readHead().isEmpty { connection.write(Self.answer("x")) }
        }
        for _ in 0..<20 { _ = try await client.send(request(server)) }
        #expect(server.connectionCount == 1)
    }

    @Test("a connection that died while idle is replaced")
    func aConnectionThatDiedWhileIdleIsReplaced() async throws {
        let server = try LocalServer { connection in
            _ = connection.readHead()
            connection.write(Self.answer("x"))
        }
        for _ in 0..<50 { #expect(try await client.send(request(server, method: "POST", body: .bytes([1]))).status == 200) }
    }

    @Test("100 requests at once all get their own answer")
    func n100RequestsAtOnceAllGetTheirOwnAnswer() async throws {
        let server = try LocalServer { connection in
            while true {
                let head = connection.readHead()
                guard let path = head.split(separator: " ").dropFirst().first else { return }
                connection.write(Self.answer(String(repeating: "\(path),", count: 5000)))
            }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<100 {
                group.addTask { [client] in
                    for round in 0..<5 {
                        let path = "/\(number)-\(round)"
                        let response = try await client.send(request(server, path: path))
                        #expect(String(decoding: response.body, as: UTF8.self) == String(repeating: "\(path),", count: 5000))
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(server.connectionCount <= 500)
    }

    @Test("random cancellation leaves a client that works")
    func randomCancellationLeavesAClientThatWorks() async throws {
        let server = try LocalServer { connection in
            while !connection.readHead().isEmpty {
                guard connection.write(Self.answer(String(repeating: "x", count: 300_000))) else { return }
            }
        }
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<200 {
                group.addTask { [client] in
                    await withTaskGroup(of: Void.self) { inner in
                        inner.addTask { _ = try? await client.send(request(server)) }
                        try? await Task.sleep(for: .microseconds(number * 37 % 3000))
                        inner.cancelAll()
                    }
                }
            }
        }
        #expect(try await client.send(request(server)).body.count == 300_000)
    }

    @Test("shutdown ends what runs and refuses what comes")
    func shutdownEndsWhatRunsAndRefusesWhatComes() async throws {
        let server = try LocalServer { connection in
            _ = connection.readHead()
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nstart")
            connection.waitForClose()
        }
        let client = CurlClient()
        let error = await #expect(throws: CurlError.self) {
            try await client.withResponse(to: request(server)) { response in
                client.shutdown()
                _ = try await response.collect(upTo: 10_000)
            }
        }
        #expect(error?.code == .closed)
        let later = await #expect(throws: CurlError.self) { try await client.send(request(server)) }
        #expect(later?.code == .closed)
    }
}
