import ExecboxWire
import Foundation
import Synchronization
import Testing

@Suite("The command line", .timeLimit(.minutes(2))) struct CommandLineTests {
    struct Run: Sendable {
        let output: String
        let error: String
        let status: Int32
    }

    private static var executable: URL {
        // Next to the test bundle.
        URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent().appending(path: "execbox")
    }

    /// Runs `execbox`; `whileRunning` gets its process id and the other end of its stdin.
    private func execbox(
        _ arguments: [String], url: String, input: String? = nil, key: String = "k",
        onTerminal: Bool = false, whileRunning: @escaping @Sendable (Int32, FileHandle) async throws -> Void = { _, _ in }
    ) async throws -> Run {
        let process = Process()
        process.executableURL = onTerminal ? URL(fileURLWithPath: "/usr/bin/script") : Self.executable
        process.arguments = onTerminal ? ["-qec", ([Self.executable.path] + arguments).joined(separator: " "), "/dev/null"] : arguments
        process.environment = ["EXECBOX_URL": url, "EXECBOX_API_KEY": key]
        let (stdin, stdout, stderr) = (Pipe(), Pipe(), Pipe())
        process.standardInput = stdin
        process.standardOutput = stdout
        process.standardError = stderr
        let (exits, exited) = AsyncStream.makeStream(of: Int32.self)
        process.terminationHandler = { exited.yield($0.terminationStatus) }
        try process.run()
        if let input {
            try stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8))
            try stdin.fileHandleForWriting.close()
        }
        try await whileRunning(process.processIdentifier, stdin.fileHandleForWriting)
        var iterator = exits.makeAsyncIterator()
        let status = await iterator.next() ?? -1
        // All of it is short enough for a pipe.
        func text(_ pipe: Pipe) -> String { String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self) }
        return Run(output: text(stdout), error: text(stderr), status: status)
    }

    @Test("keeps stdout and stderr apart, says what is missing, and exits with the remote code")
    func streams() async throws {
        try await FakeServer.with { stream in
            try await stream.send(.stdout(Array("out\n".utf8)))
            try await stream.send(.stderr(Array("err\n".utf8)))
            try await stream.send(.gap(5))
            try await stream.send(.error("timeout: 5 s"))
            try await stream.send(.exit(137))
        } _: { url in
            let run = try await execbox(["run", "alpine", "--", "true"], url: url)
            #expect(run.output == "out\n" && run.status == 137)
            #expect(run.error == "err\nexecbox: 5 bytes of output are missing here\nexecbox: timeout: 5 s\n")
        }
    }

    @Test("passes stdin on to its end, over a connection that is lost")
    func passesInput() async throws {
        try await FakeServer.with { stream in
            if stream.number == 1 {
                try await stream.send(.stdout(Array("a".utf8)))
                _ = try await stream.receive()
                return try await stream.lose()
            }
            #expect(stream.offset == 1)
            while let frame = try await stream.receive(), frame != .stdinClose {}
            try await stream.send(.stdout(Array("b".utf8)))
            try await stream.send(.exit(0))
        } _: { url in
            let run = try await execbox(["exec", "sess_x", "--", "cat"], url: url, input: "hello")
            #expect(run.output == "ab" && run.status == 0)
        }
    }

    @Test("passes the first ^C on and ends the session with the second")
    func interrupts() async throws {
        let (signals, signal) = AsyncStream.makeStream(of: Void.self)
        try await FakeServer.with { stream in
            signal.yield()
            while let frame = try await stream.receive() {
                if frame == .signal("SIGINT") { signal.yield() }
            }
        } _: { url in
            let run = try await execbox(["run", "--no-stdin", "alpine"], url: url) { pid, _ in
                var iterator = signals.makeAsyncIterator()
                await iterator.next()
                // The stream is open before its signals are looked after.
                try await Task.sleep(for: .milliseconds(500))
                kill(pid, SIGINT)
                await iterator.next()
                kill(pid, SIGINT)
            }
            #expect(run.status == 130)
            #expect(run.error.contains("ending the command"))
        }
    }

    @Test("on a terminal gives the command one, raw: its size and every byte, ^C too; and puts ours back")
    func terminal() async throws {
        let (starts, started) = AsyncStream.makeStream(of: Void.self)
        try await FakeServer.with { stream in
            guard case .resize = try await stream.receive() else {
                Issue.record("no size")
                return
            }
            started.yield()
            var typed: [UInt8] = []
            while typed.count < 3, case .stdin(let bytes) = try await stream.receive() { typed += bytes }
            #expect(typed == [3, 0x78, 13])
            try await stream.send(.stdout(Array("typed\r\n".utf8)))
            try await stream.send(.exit(7))
        } _: { url in
            let run = try await execbox(["run", "alpine"], url: url, onTerminal: true) { _, input in
                var iterator = starts.makeAsyncIterator()
                await iterator.next()
                try input.write(contentsOf: Data([3, 0x78, 13]))
            }
            #expect(run.output == "typed\r\n" && run.status == 7)
        }
    }

    @Test("says its own errors in one line and exits with 125")
    func ownErrors() async throws {
        let commands = [
            ["ls"], ["run", "alpine"], ["inspect", "sess_y"], ["run"], ["run", "alpine", "--memory", "1g"], ["ls", "--status", "x"],
            ["exec", "sess_x"],
        ]
        for arguments in commands {
            let run = try await execbox(arguments, url: "http://127.0.0.1:1")
            #expect(run.status == 125 && run.output.isEmpty)
            #expect(run.error.hasPrefix("execbox: ") && run.error.filter(\.isNewline).count == 1)
        }
        #expect(try await execbox(["ls"], url: "http://127.0.0.1:1", key: "").error.contains("EXECBOX_API_KEY"))
        #expect(try await execbox(["--version"], url: "").output.hasPrefix("execbox "))
    }

    @Test("lists, inspects and stops")
    func manages() async throws {
        try await FakeServer.with { url in
            let list = try await execbox(["ls", "--limit", "1"], url: url)
            #expect(list.output.contains("SESSION  IMAGE") && list.output.contains("sess_x   alpine  sh       running"))
            #expect(try await execbox(["ls", "-q", "--limit", "1"], url: url).output == "sess_x\n")
            #expect(try await execbox(["inspect", "sess_x"], url: url).output.contains("\"image\" : \"alpine\""))
            #expect(try await execbox(["logs", "sess_x"], url: url).output == "hello")
            #expect(try await execbox(["stop", "sess_x"], url: url).output == "sess_x\n")
            #expect(try await execbox(["run", "-d", "alpine"], url: url).output == "sess_x\n")
            #expect(try await execbox(["inspect", "sess_y"], url: url).error == "execbox: no such session (NOT_FOUND, request r2)\n")
        }
    }
}
