import ExecboxTestRandom
import ExecboxWire
import Glibc
import Testing

@Suite("The agent", .timeLimit(.minutes(2)))
struct LifecycleTests {
    private func isAlive(_ pid: String) -> Bool {
        let number = pid_t(pid.split(separator: "\n").first.map(String.init) ?? "") ?? 0
        return number > 0 && kill(number, 0) == 0
    }

    // MARK: Who stays

    @Test("forgets an exec once it was delivered, keeps it if it is to be retained, and main always")
    func forgets() throws {
        let agent = try TestAgent()
        _ = try agent.run(.shell("true", id: "exec"))
        _ = try agent.run(.shell("true", id: "kept", isRetained: true))
        _ = try agent.run(.shell("true", id: "main"))
        try agent.waitUntil("the exec to be forgotten") { Set($0.map(\.processID)) == ["kept", "main"] }
        #expect {
            try agent.open(.attach(AttachRequest(processID: "exec")))
        } throws: {
            ($0 as? AgentFailure)?.code == .notFound
        }
        let again = try agent.open(.attach(AttachRequest(processID: "kept")))
        #expect(try again.outcome().report?.exitCode == 0)
    }

    @Test("keeps a finished exec whose reader was lost before it had everything")
    func undelivered() throws {
        let agent = try TestAgent()
        let connection = try agent.open(.start(.shell("echo precious", id: "exec")))
        try agent.waitUntil("the end") { $0.contains { $0.exit != nil } }
        try TestAgent.poll("the output") { connection.hasInput }
        connection.close()
        let again = try agent.open(.attach(AttachRequest(processID: "exec")))
        #expect(try again.outcome().text == "precious\n")
    }

    @Test("forgets a retained exec some time after its end")
    func retention() throws {
        let agent = try TestAgent("--retention-seconds", "1")
        _ = try agent.run(.shell("true", id: "kept", isRetained: true))
        try agent.waitUntil("it to be forgotten") { $0.isEmpty }
    }

    @Test("keeps at most 64 finished execs, the newest")
    func keepsFew() throws {
        let agent = try TestAgent()
        for number in 0..<80 { _ = try agent.run(.shell("true", id: "e\(number)", bufferBytes: 32 * 1024, isRetained: true)) }
        let kept = Set(try agent.processes().map(\.processID))
        #expect(kept.count <= 65 && kept.count >= 63)
        #expect(kept.contains("e79") && !kept.contains("e0"))
    }

    @Test("answers busy only when running processes have all buffers, and forgets finished ones for new ones before that")
    func busy() throws {
        let agent = try TestAgent()
        // 24 MiB in all: finished ones with full buffers make place.
        for number in 0..<8 {
            _ = try agent.run(.shell("head -c 4194304 /dev/zero", id: "done\(number)", bufferBytes: 4 << 20, isRetained: true))
        }
        #expect(try agent.processes().count < 8)
        var running: [TestConnection] = []
        var refusal: AgentFailure?
        for number in 0..<1000 where refusal == nil {
            do {
                running.append(try agent.open(.start(.shell("exec sleep 1000", id: "r\(number)", bufferBytes: 10 << 20))))
            } catch let failure as AgentFailure {
                refusal = failure
            }
        }
        #expect(refusal?.code == .busy)
        #expect(running.count > 2, "later ones get smaller buffers first")
        #expect(try agent.processes().allSatisfy { $0.exit == nil })
    }

    // MARK: Lost clients

    @Test("hangs up an exec whose client was lost and does not come back, but not one that it came back to")
    func orphans() throws {
        let agent = try TestAgent("--orphan-seconds", "1", "--hangup-seconds", "1")
        let lost = try agent.open(.start(.shell("echo $$; exec sleep 1000", id: "lost")))
        let stubborn = try agent.open(.start(.shell("trap '' HUP; echo $$; while :; do sleep 0.1; done", id: "stubborn")))
        let found = try agent.open(.start(.shell("echo $$; exec sleep 1000", id: "found")))
        let kept = try agent.open(.start(.shell("echo $$; exec sleep 1000", id: "kept", isRetained: true)))
        for connection in [lost, stubborn, found, kept] { _ = try connection.read { $0.stdout.last == 0x0A } }
        for connection in [found, lost, stubborn, kept] { connection.close() }
        let back = try agent.open(.attach(AttachRequest(processID: "found")))
        try agent.waitUntil("the others to be hung up") { Set($0.map(\.processID)) == ["found", "kept"] }
        #expect(try agent.processes().allSatisfy { $0.exit == nil })
        #expect(try agent.ask(.signal(processID: "found", name: "TERM")) == .done)
        #expect(try back.outcome().report?.signal == "SIGTERM")
    }

    @Test("keeps a detached start until somebody reads it, but not for ever")
    func detached() throws {
        let agent = try TestAgent("--orphan-seconds", "1")
        let connection = try agent.connect()
        guard case .attached(0, _) = try connection.ask(.start(.shell("echo hi", id: "a", flow: .detached))) else {
            throw TestAgent.Failure.unexpected("not attached")
        }
        let reader = try agent.open(.attach(AttachRequest(processID: "a")))
        #expect(try reader.outcome().text == "hi\n")
        reader.close()
        guard case .attached = try agent.ask(.start(.shell("exec sleep 1000", id: "b", flow: .detached))) else {
            throw TestAgent.Failure.unexpected("not attached")
        }
        try agent.waitUntil("both to be forgotten") { $0.isEmpty }
    }

    @Test("hangs up at once when told so, with SIGHUP and then SIGKILL, but never a retained one")
    func hangup() throws {
        let agent = try TestAgent("--hangup-seconds", "1")
        let polite = try agent.open(.start(.shell("exec sleep 1000", id: "polite")))
        let stubborn = try agent.open(.start(.shell("trap '' HUP; echo on; while :; do sleep 0.1; done", id: "stubborn")))
        let retained = try agent.open(.start(.shell("exec sleep 1000", id: "retained", isRetained: true)))
        _ = try stubborn.read { $0.text == "on\n" }
        for id in ["polite", "stubborn", "retained"] { #expect(try agent.ask(.hangup(processID: id)) == .done) }
        #expect(try polite.outcome().report?.signal == "SIGHUP")
        #expect(try stubborn.outcome().report?.signal == "SIGKILL")
        #expect(try agent.report(of: "retained")?.exit == nil)
        retained.close()
    }

    // MARK: The end

    @Test("shuts down: main's group gets its signal, everything else ends with main, its report stays, and Dismiss ends the agent")
    func shutdown() throws {
        let agent = try TestAgent()
        let main = try agent.open(.start(.shell("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done", id: "main")))
        _ = try main.read { $0.text == "up\n" }
        let exec = try agent.open(.start(.shell("(setsid sh -c 'echo $$; exec sleep 1000' &) ; exec sleep 1000", id: "exec")))
        let escaped = try exec.read { $0.stdout.last == 0x0A }.text
        #expect(isAlive(escaped))
        #expect(try agent.ask(.shutdown(signal: "SIGTERM", graceMs: 60_000)) == .done)
        let outcome = try main.outcome()
        #expect(outcome.text == "bye\n")
        #expect(outcome.report?.exitCode == 3)
        #expect(try exec.outcome().report?.signal == "SIGKILL")
        try TestAgent.poll("a process that left its group") { !isAlive(escaped) }
        #expect {
            try agent.open(.start(.shell("true")))
        } throws: {
            ($0 as? AgentFailure)?.code == .ended
        }
        let late = try agent.open(.attach(AttachRequest(processID: "main")))
        #expect(try late.outcome().text == "up\nbye\n")
        #expect(try agent.ask(.dismiss) == .done)
        #expect(try agent.waitForEnd() == 0)
    }

    @Test("kills main when its grace is over")
    func grace() throws {
        let agent = try TestAgent()
        let main = try agent.open(.start(.shell("trap '' TERM; echo up; while :; do sleep 0.05; done", id: "main")))
        _ = try main.read { $0.text == "up\n" }
        #expect(try agent.ask(.shutdown(signal: "TERM", graceMs: 200)) == .done)
        let report = try main.outcome().report
        #expect(report?.signal == "SIGKILL")
        #expect(report?.cause == .signaled)
    }

    @Test("kills everything when no server has renewed its deadline, and keeps the reports")
    func deadline() throws {
        let agent = try TestAgent()
        let main = try agent.open(.start(.shell("exec sleep 1000", id: "main")))
        let exec = try agent.open(.start(.shell("exec sleep 1000", id: "exec")))
        #expect(try agent.ask(.setDeadline(seconds: 1)) == .done)
        #expect(try agent.ask(.setDeadline(seconds: 2)) == .done)
        #expect(try main.outcome().report?.exitCode == 137)
        #expect(try exec.outcome().report?.exitCode == 137)
        #expect(try agent.report(of: "main")?.exit?.exitCode == 137)
    }

    @Test("passes SIGTERM on to main's group")
    func forwardsTerm() throws {
        let agent = try TestAgent()
        let main = try agent.open(.start(.shell("trap 'exit 6' TERM; echo up; while :; do sleep 0.05; done", id: "main")))
        _ = try main.read { $0.text == "up\n" }
        kill(agent.pid, SIGTERM)
        #expect(try main.outcome().report?.exitCode == 6)
    }

    @Test("takes in orphans and leaves no zombie")
    func reaps() throws {
        let agent = try TestAgent()
        _ = try agent.run("(sh -c 'sleep 0.1' &) ; true")
        let count = "grep -l 'PPid:.\(agent.pid)$' /proc/[0-9]*/status 2>/dev/null | xargs -r grep -h '^State' | grep -c zombie"
        try TestAgent.poll("no zombies") { try agent.run(count + "; true").text == "0\n" }
    }

    // MARK: Servers

    @Test("finds a server again that was restarted, and keeps two idle connections at each")
    func redials() throws {
        let agent = try TestAgent()
        let (first, second) = (try agent.connect(), try agent.connect())
        agent.stopListening()
        first.close()
        second.close()
        try agent.listenAgain()
        let (third, fourth) = (try agent.connect(), try agent.connect())
        #expect(third.hello.bootID == first.hello.bootID)
        guard case .statistics = try third.ask(.stats) else { throw TestAgent.Failure.unexpected("no statistics") }
        guard case .statistics = try fourth.ask(.stats) else { throw TestAgent.Failure.unexpected("no statistics") }
    }

    @Test("outlives malformed input, and says what was wrong with it")
    func malformed() throws {
        var random = SeededGenerator(seed: 3)
        let agent = try TestAgent()
        let inputs: [[UInt8]] = [
            [0xFF], [0x22, 0xFF, 0xFF, 0xFF, 0xFF], [0x22, 0, 0, 0, 1, 0], AgentMessage.done.bytes, Frame.stdin([1]).bytes,
            [0x2C, 0, 0, 0, 0],
            AgentMessage.hello(Hello(agentVersion: "x", bootID: [UInt8](repeating: 0, count: 16), mainStarted: false)).bytes,
            AgentMessage.attach(AttachRequest(processID: "", flow: .detached)).bytes,
        ]
        for input in inputs {
            let connection = try agent.connect()
            try connection.send(bytes: input)
            guard case .message(.failed(let failure))? = try connection.nextIfOpen() else {
                Issue.record("\(input.prefix(8)) was not refused")
                continue
            }
            #expect(failure.code == .invalidRequest)
            #expect(try connection.nextIfOpen() == nil)
        }
        for _ in 0..<100 {
            let connection = try agent.connect()
            let garbage = (0..<Int.random(in: 1...300, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            // The agent may have closed in the middle of it.
            _ = try? connection.send(bytes: garbage)
            connection.stopSending()
            while let packet = try? connection.nextIfOpen() {
                guard case .message(.failed) = packet else { break }
            }
        }
        #expect(try agent.run("echo fine").text == "fine\n")
    }

    @Test("ends a stream with an error when something has no place in it, and the process goes on")
    func malformedStream() throws {
        let agent = try TestAgent()
        let connection = try agent.open(.start(.shell("read x; echo $x", id: "exec")))
        try connection.send(.list)
        #expect(try connection.outcome().failure?.code == .invalidRequest)
        let again = try agent.open(.attach(AttachRequest(processID: "exec", sendsStdin: false)))
        try again.send(.stdin([1]))
        #expect(try again.outcome().failure?.code == .invalidRequest)
        let third = try agent.open(.attach(AttachRequest(processID: "exec")))
        try third.send(.stdin(Array("still here\n".utf8)))
        #expect(try third.outcome().text == "still here\n")
    }

    @Test("turns away whoever connects from its own machine when it listens, without a word")
    func listens() throws {
        let secretHash = String(repeating: "00", count: 32)
        let port = UInt16.random(in: 20_000...60_000)
        let pid = try TestAgent.spawn([TestAgent.path, "--listen", "127.0.0.1:\(port)", "--secret-sha256", secretHash])
        defer {
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var descriptor: Int32 = -1
        try TestAgent.poll("the listener") {
            descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            let connected = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if connected != 0 { close(descriptor) }
            return connected == 0
        }
        defer { close(descriptor) }
        try TestAgent.wait(for: descriptor, POLLIN, "the close")
        var byte: UInt8 = 0
        #expect(recv(descriptor, &byte, 1, 0) <= 0)
    }

    @Test("counts what the sandbox uses")
    func statistics() throws {
        let agent = try TestAgent()
        guard case .statistics(let statistics) = try agent.ask(.stats) else { throw TestAgent.Failure.unexpected("no statistics") }
        #expect(statistics.uptimeMicroseconds > 0)
        let outcome = try agent.run("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
        #expect((outcome.report?.cpuMicroseconds ?? 0) > 0)
        #expect((outcome.report?.elapsedMicroseconds ?? 0) > 0)
    }
}
