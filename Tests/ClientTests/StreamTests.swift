import ExecboxAPI
import ExecboxClient
import ExecboxTestRandom
import ExecboxWebSocket
import ExecboxWire
import HTTPTypes
import Synchronization
import Testing

@Suite("A stream", .timeLimit(.minutes(1))) struct StreamTests {
    private static let quick = ResumePolicy(initialDelay: .milliseconds(5), maxDelay: .milliseconds(20), giveUpAfter: .seconds(10))

    private func attach(_ url: String, offset: UInt64? = nil, resume: ResumePolicy = Self.quick) async throws -> ExecStream {
        try await ExecboxClient(url: url, apiKey: "key").sessions.attach("sess_x", offset: offset, resume: resume)
    }

    /// All events to the end.
    private func events(_ stream: ExecStream) async throws -> [StreamEvent] {
        var events: [StreamEvent] = []
        for try await event in stream { events.append(event) }
        return events
    }

    @Test("gives output, gaps, messages and the exit in their order, and counts what it received")
    func order() async throws {
        try await FakeServer.with { stream in
            try await stream.send(.stdout([1, 2, 3]))
            try await stream.send(.stderr([4]))
            try await stream.send(.gap(100))
            try await stream.send(.stdout([]))
            try await stream.send(.error("timeout: 5 s"))
            try await stream.send(.exit(-1))
        } _: { url in
            let stream = try await attach(url)
            #expect(
                try await events(stream) == [.stdout([1, 2, 3]), .stderr([4]), .gap(100), .stdout([]), .error("timeout: 5 s"), .exit(-1)])
            #expect(stream.offset == 104)
            #expect(try await stream.next() == nil)
        }
    }

    @Test("survives connections lost and closed with 1001 at random places without losing or repeating a byte", arguments: 0..<4)
    func resumes(_ seed: UInt64) async throws {
        let output = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
        let generator = Mutex(SeededGenerator(seed: seed))
        let received = try await FakeServer.with { stream in
            var position = stream.offset
            let budget = generator.withLock { Int.random(in: 0...40_000, using: &$0) }
            while position < output.count {
                let length = min(output.count - position, generator.withLock { Int.random(in: 0...5000, using: &$0) })
                try await stream.send(.stdout(Array(output[position..<(position + length)])))
                position += length
                guard position - stream.offset > budget else { continue }
                switch generator.withLock({ Int.random(in: 0...2, using: &$0) }) {
                case 0: try await stream.lose()
                case 1: stream.connection.beginClose(.goingAway, discardingQueued: true)
                default: stream.connection.beginClose(.tooSlow)
                }
                return
            }
            try await stream.send(.exit(0))
        } _: { url in
            var bytes: [UInt8] = []
            for try await event in try await attach(url) {
                if case .stdout(let part) = event { bytes += part }
            }
            return bytes
        }
        // Compared outside of #expect, which would print both in full.
        let difference = zip(received, output).enumerated().first { $1.0 != $1.1 }?.offset
        #expect(received.count == output.count && difference == nil)
    }

    @Test("that resumes inside a hole starts over, passes over what it has, and tells the gap")
    func resumesInHole() async throws {
        try await FakeServer.with { stream in
            switch stream.number {
            case 1:
                try await stream.send(.stdout([UInt8](repeating: 1, count: 10)))
                stream.connection.beginClose(.goingAway)
            case 2:
                #expect(stream.offset == 10)
                try await stream.send(.error("GONE 25"))
                stream.connection.beginClose(.gone)
            default:
                #expect(stream.items["offset"] == nil)
                try await stream.send(.stdout([UInt8](repeating: 1, count: 4)))
                try await stream.send(.gap(21))
                try await stream.send(.stderr([9, 9]))
                try await stream.send(.exit(3))
            }
        } _: { url in
            let stream = try await attach(url)
            #expect(try await events(stream) == [.stdout([UInt8](repeating: 1, count: 10)), .gap(15), .stderr([9, 9]), .exit(3)])
            #expect(stream.offset == 27)
        }
    }

    @Test("sends no more stdin than it has credit for, and all of it in the end")
    func credit() async throws {
        let input = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 13) }
        try await FakeServer.with { stream in
            var received: [UInt8] = []
            var granted = 256 * 1024
            var isClosed = false
            while !isClosed, let frame = try await stream.receive() {
                switch frame {
                case .stdin(let bytes): received += bytes
                case .stdinClose: isClosed = true
                default: Issue.record("\(frame)")
                }
                #expect(received.count <= granted)
                if received.count == granted {
                    granted += 100_000
                    try await stream.send(.credit(100_000))
                }
            }
            let isSame = received == input
            #expect(isSame)
            try await stream.send(.exit(0))
        } _: { url in
            let stream = try await attach(url)
            async let last = events(stream)
            try await stream.write(input)
            try await stream.closeStdin()
            #expect(try await last == [.exit(0)])
            await #expect(throws: ExecboxClientError.self) { try await stream.write([1]) }
        }
    }

    @Test("tells size and closed stdin again after a resumption")
    func repeatsState() async throws {
        try await FakeServer.with { stream in
            if stream.number == 1 {
                #expect(try await stream.receive() == .resize(columns: 100, rows: 40))
                #expect(try await stream.receive() == .signal("SIGINT"))
                #expect(try await stream.receive() == .stdinClose)
                return try await stream.lose()
            }
            #expect(try await stream.receive() == .resize(columns: 100, rows: 40))
            #expect(try await stream.receive() == .stdinClose)
            try await stream.send(.exit(0))
        } _: { url in
            let stream = try await attach(url)
            try await stream.resize(columns: 100, rows: 40)
            try await stream.signal("SIGINT")
            try await stream.closeStdin()
            #expect(try await events(stream) == [.exit(0)])
        }
    }

    @Test("of an exec comes back by its id, without the command")
    func execResumes() async throws {
        try await FakeServer.with { stream in
            if stream.number == 1 {
                #expect(stream.command == ["sh", "-c", "a b&c=d%"])
                try await stream.send(.stdout([1]))
                // Lost only once the client has it: what is under way is lost too.
                _ = try await stream.receive()
                return try await stream.lose()
            }
            #expect(stream.command.isEmpty && stream.items["id"] == ["exec_1"])
            #expect(stream.offset == 1)
            try await stream.send(.exit(7))
        } _: { url in
            var query = ExecQuery()
            query.command = ["sh", "-c", "a b&c=d%"]
            query.workDir = "/w"
            let stream = try await ExecboxClient(url: url, apiKey: "key").execs.stream(in: "sess_x", query, resume: Self.quick)
            #expect(stream.execID == "exec_1")
            #expect(try await stream.next() == .stdout([1]))
            try await stream.signal("SIGUSR1")
            let found = try await events(stream)
            #expect(found == [.exit(7)])
        }
    }

    @Test("gives up when the server refuses to resume, or the time is over")
    func givesUp() async throws {
        try await FakeServer.with {
            try await $0.lose()
        } refusing: { number in
            number > 1 ? HTTPResponse.Status.notFound : nil
        } _: { url in
            let stream = try await attach(url)
            let error = await #expect(throws: ExecboxClientError.self) { try await events(stream) }
            #expect(error?.status == 404)
            #expect(try await stream.next() == nil)
            await #expect(throws: ExecboxClientError.self) { try await stream.closeStdin() }
        }
        try await FakeServer.with {
            try await $0.lose()
        } _: { url in
            let stream = try await attach(url, resume: .never)
            let error = await #expect(throws: ExecboxClientError.self) { try await events(stream) }
            #expect(error?.code == .streamLost)
        }
    }

    @Test("tries again while the server is not there")
    func waitsForServer() async throws {
        try await FakeServer.with { stream in
            guard stream.number > 1 else { return try await stream.lose() }
            try await stream.send(.exit(0))
        } refusing: { number in
            (2...4).contains(number) ? .serviceUnavailable : nil
        } _: { url in
            let found = try await events(attach(url))
            #expect(found == [.exit(0)])
        }
    }

    @Test("that ends without an exit throws what the server said, or just ends")
    func endsWithoutExit() async throws {
        try await FakeServer.with { stream in
            try await stream.send(.error("image_error: no such image"))
            stream.connection.beginClose(.conflict)
        } _: { url in
            let stream = try await attach(url)
            #expect(try await stream.next() == .error("image_error: no such image"))
            let error = await #expect(throws: ExecboxClientError.self) { try await stream.next() }
            #expect(error?.code == .conflict && error?.message == "image_error: no such image")
        }
        let found = try await FakeServer.with { _ in
        } _: { url in
            try await events(attach(url))
        }
        #expect(found == [])
    }

    @Test("refuses what is no frame")
    func refusesNonsense() async throws {
        for bad: Frame in [.stdinClose, .resize(columns: 1, rows: 1)] {
            try await FakeServer.with { stream in
                try await stream.send(bad)
                _ = try await stream.receive()
            } _: { url in
                let stream = try await attach(url)
                let error = await #expect(throws: ExecboxClientError.self) { try await events(stream) }
                #expect(error?.code == .invalidResponse)
            }
        }
    }

    @Test("can be left, and reading can be cancelled")
    func leaving() async throws {
        try await FakeServer.with { stream in
            try await stream.send(.stdout([1]))
            while try await stream.receive() != nil {}
            #expect(stream.connection.end == .closedByPeer(.normal, reason: ""))
        } _: { url in
            let stream = try await attach(url)
            #expect(try await stream.next() == .stdout([1]))
            let reader = Task { try await stream.next() }
            reader.cancel()
            await #expect(throws: CancellationError.self) { try await reader.value }
            await stream.detach()
            #expect(try await stream.next() == nil)
        }
    }
}
