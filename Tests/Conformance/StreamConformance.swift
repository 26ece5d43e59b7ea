import ExecboxAPI
import ExecboxClient
import ExecboxModel
import ExecboxTestSupport
import Testing

/// PROTOCOL §3 against every backend.
@Suite struct StreamConformance {
    @Test func stdinReachesMainAndItsEndDoesToo() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.create(["sh", "-c", "cat; echo end >&2; exit 4"])
            let stream = try await subject.client.sessions.attach(session.id)
            try await stream.write(Array("some input".utf8))
            try await stream.closeStdin()
            let seen = try await Seen(stream)
            #expect(String(decoding: seen.stdout, as: UTF8.self) == "some input")
            #expect(String(decoding: seen.stderr, as: UTF8.self) == "end\n")
            #expect(seen.exit == 4)
        }
    }

    @Test func megabytesOfStdinComeBackWhole() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.idle()
            var query = ExecQuery()
            query.command = ["cat"]
            let stream = try await subject.client.execs.stream(in: session.id, query)
            var generator = SystemRandomNumberGenerator()
            let sent = (0..<(3 << 20)).map { _ in UInt8.random(in: 0...255, using: &generator) }
            async let writing: Void = {
                try await stream.write(sent)
                try await stream.closeStdin()
            }()
            let seen = try await Seen(stream)
            try await writing
            #expect(firstDifference(seen.stdout, sent) == nil)
            #expect(seen.exit == 0)
        }
    }

    @Test func aTerminalHasItsSizeAndIsResized() async throws {
        try await ConformanceSubject.each { subject in
            let script = "stty size; read go; stty size; test -t 0 && echo terminal"
            let session = try await subject.create(["sh", "-c", script]) { $0.tty = TerminalSize(columns: 100, rows: 30) }
            let stream = try await subject.client.sessions.attach(session.id)
            var text = ""
            while !text.contains("30 100"), case .stdout(let bytes)? = try await stream.next() {
                text += String(decoding: bytes, as: UTF8.self)
            }
            try await stream.resize(columns: 66, rows: 22)
            try await stream.write(Array("go\n".utf8))
            let rest = String(decoding: try await Seen(stream).stdout, as: UTF8.self)
            #expect(rest.contains("22 66\r\n"))
            #expect(rest.contains("terminal\r\n"))
        }
    }

    @Test func controlCInATerminalInterruptsTheForegroundProcess() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.idle()
            var query = ExecQuery()
            query.command = ["sh", "-c", "trap 'echo caught; exit 9' INT; echo ready; while true; do sleep 0.05; done"]
            query.tty = TerminalSize()
            let stream = try await subject.client.execs.stream(in: session.id, query)
            var text = ""
            while !text.contains("ready"), case .stdout(let bytes)? = try await stream.next() {
                text += String(decoding: bytes, as: UTF8.self)
            }
            try await stream.write([3])
            let seen = try await Seen(stream)
            #expect(String(decoding: seen.stdout, as: UTF8.self).contains("caught"))
            #expect(seen.exit == 9)
        }
    }

    @Test func aSignalReachesTheWholeGroup() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.idle()
            var query = ExecQuery()
            query.command = ["sh", "-c", "sleep 500 & sleep 500 & echo ready; wait"]
            let stream = try await subject.client.execs.stream(in: session.id, query)
            #expect(try await stream.next() == .stdout(Array("ready\n".utf8)))
            try await stream.signal("SIGTERM")
            #expect(try await Seen(stream).exit == 143)
            let left = try await subject.client.execs.run(in: session.id, ExecBody(command: ["sh", "-c", "ps | grep -c '[s]leep 500'"]))
            #expect(left.stdoutText == "0\n")
        }
    }

    @Test func aGrandchildThatHoldsThePipeDoesNotHoldTheExit() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.idle()
            let result = try await subject.client.execs.run(in: session.id, ExecBody(command: ["sh", "-c", "sleep 500 & echo started"]))
            #expect(result.stdoutText == "started\n")
            #expect(result.exitCode == 0)
        }
    }

    @Test func aBufferedExecThatTimesOutGivesItsOutputSoFar() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.idle()
            var body = ExecBody(command: ["sh", "-c", "echo so far; sleep 500"])
            body.timeoutMs = 500
            let result = try await subject.client.execs.run(in: session.id, body)
            #expect(result.reason == "timeout")
            #expect(result.stdoutText == "so far\n")
            #expect(result.exitCode == 137)
        }
    }

    @Test func outputOverTheCapKeepsHeadAndTail() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.idle()
            var body = ExecBody(command: ["seq", "1", "100000"])
            body.maxOutputBytes = 1000
            let result = try await subject.client.execs.run(in: session.id, body)
            #expect(result.truncated)
            #expect(result.stdoutBytes == 588_895)
            #expect(result.stdoutText.hasPrefix("1\n2\n3\n"))
            #expect(result.stdoutText.hasSuffix("99999\n100000\n"))
        }
    }

    @Test func bytesThatAreNoTextComeBackAsTheyAre() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.idle()
            let result = try await subject.client.execs.run(in: session.id, ExecBody(command: ["printf", "\\377\\000\\200"]))
            #expect(result.stdout == [255, 0, 128])
        }
    }

    @Test func aSessionThatEndsDuringAnExecSaysSo() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.idle()
            async let exec = subject.client.execs.run(in: session.id, ExecBody(command: ["sleep", "500"]))
            try await eventually("the exec runs") { try await !subject.client.execs.list(in: session.id).isEmpty }
            _ = try await subject.client.sessions.kill(session.id)
            let result = try await exec
            #expect(result.reason == "session_ended")
            #expect(result.exitCode == nil)
        }
    }

    @Test func badExecsAreRefusedByField() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.idle()
            var noUser = ExecBody(command: ["true"])
            noUser.user = "nobody-here"
            var noDirectory = ExecBody(command: ["true"])
            noDirectory.workDir = "/missing"
            for (body, field) in [(ExecBody(command: ["missing"]), "command"), (noUser, "user"), (noDirectory, "workDir")] {
                do {
                    _ = try await subject.client.execs.run(in: session.id, body)
                    Issue.record("\(field) was taken")
                } catch let error as ExecboxClientError {
                    #expect(error.status == 400)
                    #expect(error.details["field"] == .text(field))
                }
            }
            #expect(try await subject.client.execs.list(in: session.id).isEmpty)
        }
    }

    @Test func aLiveReaderSlowsNobody() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.create(["sh", "-c", "dd if=/dev/zero bs=65536 count=320 2>/dev/null; echo end >&2"])
            let stuck = try await subject.client.sessions.attach(session.id, flow: .live, stdin: false)
            // Nobody reads from it, and main ends all the same.
            #expect(try await subject.client.sessions.wait(session.id).reason == .exited)
            await stuck.detach()
        }
    }
}

/// What a stream delivered until its end.
private struct Seen {
    var stdout: [UInt8] = []
    var stderr: [UInt8] = []
    var exit: Int32?

    init(_ stream: ExecStream) async throws {
        while let event = try await stream.next() {
            switch event {
            case .stdout(let bytes): stdout += bytes
            case .stderr(let bytes): stderr += bytes
            case .exit(let code): exit = code
            case .gap, .error: break
            }
        }
    }
}
