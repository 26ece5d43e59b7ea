import ExecboxWire
import Glibc
import Testing

@Suite("A process in the sandbox", .timeLimit(.minutes(2)))
struct ProcessTests {
    private func failure(_ body: () throws -> some Any) -> AgentFailure? {
        do {
            _ = try body()
            return nil
        } catch {
            return error as? AgentFailure
        }
    }

    // MARK: Start

    @Test("is started once the agent has said who it is")
    func hello() throws {
        let agent = try TestAgent()
        let first = try agent.connect()
        let second = try agent.connect()
        #expect(first.hello.protocolVersion == AgentMessage.protocolVersion)
        #expect(first.hello.bootID == second.hello.bootID)
        #expect(!first.hello.mainStarted)
        try first.open(.start(.shell("true", id: "main")))
        #expect(try first.outcome().report?.exitCode == 0)
        second.close()
        // Connections that were idle before have said hello already.
        try TestAgent.poll("a hello that knows of main") { try agent.connect().hello.mainStarted }
    }

    @Test("has its output and its errors told apart, and its exit code reported")
    func output() throws {
        let agent = try TestAgent()
        let outcome = try agent.run("echo out; echo err >&2; exit 7")
        #expect(outcome.text == "out\n")
        #expect(outcome.errorText == "err\n")
        #expect(outcome.report?.cause == .exited)
        #expect(outcome.report?.exitCode == 7)
        #expect(outcome.report?.stdoutBytes == 4)
        #expect(outcome.report?.stderrBytes == 4)
        #expect(outcome.report?.signal == "")
    }

    @Test("that was ended by a signal has its name reported and 128 + n", arguments: [("KILL", 137), ("TERM", 143), ("SEGV", 139)])
    func signalExit(_ name: String, _ code: Int32) throws {
        let outcome = try TestAgent().run("kill -\(name) $$; sleep 60")
        #expect(outcome.report?.cause == .signaled)
        #expect(outcome.report?.exitCode == code)
        #expect(outcome.report?.signal == "SIG\(name)")
    }

    @Test("gets its arguments and names of its environment byte for byte")
    func oddArguments() throws {
        let agent = try TestAgent()
        var request = StartRequest(
            processID: "odd", arguments: ["/usr/bin/printf", "[%s]", "", " a  b ", "é😀", "line\nbreak", "$HOME `x` \"'\\", "-n", "*"],
            environment: ["PATH=/bin"])
        #expect(try agent.run(request).text == "[][ a  b ][é😀][line\nbreak][$HOME `x` \"'\\][-n][*]")
        request = StartRequest(
            processID: "env", arguments: ["/usr/bin/env", "-0"],
            environment: ["A=1", "a.b-c=2", "É=é", "EMPTY=", "EQ=a=b", "A=3", "PATH=/x", "HOME=/y", "USER=z"])
        let lines = Set(try agent.run(request).text.split(separator: "\0").map(String.init))
        #expect(lines == ["A=3", "a.b-c=2", "É=é", "EMPTY=", "EQ=a=b", "PATH=/x", "HOME=/y", "USER=z"])
    }

    @Test("with NUL in an argument is refused")
    func nul() throws {
        let agent = try TestAgent()
        let request = StartRequest(processID: "x", arguments: ["/bin/echo", "a\0b"])
        #expect(failure { try agent.open(.start(request)) }?.code == .invalidRequest)
    }

    @Test("has path, home, user and terminal type set when nobody else did")
    func defaults() throws {
        let text = try TestAgent().run("echo $PATH; echo $HOME; echo $USER; echo $TERM", terminal: .init(columns: 80, rows: 24)).text
        #expect(text == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\r\n/root\r\nroot\r\nxterm\r\n")
    }

    @Test("but main has main's environment beside its own")
    func inherits() throws {
        let agent = try TestAgent()
        _ = try agent.run(.shell("true", id: "main", environment: ["FROM=main", "BOTH=main", "PATH=/bin:/usr/bin"]))
        let text = try agent.run(.shell("echo $FROM $BOTH $OWN $PATH", environment: ["BOTH=exec", "OWN=1"])).text
        #expect(text == "main exec 1 /bin:/usr/bin\n")
    }

    @Test("is looked for in its own path")
    func path() throws {
        let agent = try TestAgent()
        #expect(try agent.run(StartRequest(processID: "a", arguments: ["sh", "-c", "echo ok"])).text == "ok\n")
        let missing = StartRequest(processID: "b", arguments: ["sh", "-c", "echo ok"], environment: ["PATH=/nowhere:/etc"])
        #expect(failure { try agent.open(.start(missing)) }?.code == .commandNotFound)
        let relative = StartRequest(processID: "c", arguments: ["bin/sh", "-c", "pwd"], workingDirectory: "/usr")
        #expect(try agent.run(relative).text == "/usr\n")
    }

    @Test("that cannot be started is refused with the reason")
    func startFailures() throws {
        let agent = try TestAgent()
        let folder = "/tmp/execbox-agent-start-\(agent.pid)"
        mkdir(folder, 0o755)
        defer { _ = try? TestAgent().run("rm -rf \(folder)") }
        _ = try agent.run(
            "cd \(folder); echo hello > plain; echo hello > text; chmod 755 text; printf '#!/no/such\\n' > script; chmod 755 script")
        func code(_ program: String, directory: String = "", user: String = "") -> AgentFailure.Code? {
            failure {
                try agent.open(
                    .start(StartRequest(processID: StartRequest.freshID, arguments: [program], workingDirectory: directory, user: user)))
            }?.code
        }
        #expect(code("no-such-program") == .commandNotFound)
        #expect(code("/no/such/program") == .commandNotFound)
        #expect(code("") == .commandNotFound)
        #expect(code("\(folder)/script") == .commandNotFound)
        #expect(code("\(folder)/plain") == .notExecutable)
        #expect(code("\(folder)/text") == .notExecutable)
        #expect(code("/tmp") == .notExecutable)
        #expect(code("/bin/true", directory: "/no/such") == .badWorkingDirectory)
        #expect(code("/bin/true", directory: "/etc/passwd") == .badWorkingDirectory)
        #expect(code("/bin/true", directory: "relative") == .badWorkingDirectory)
        #expect(code("/bin/true", user: "no-such-user") == .unknownUser)
        #expect(code("/bin/true", user: "root:no-such-group") == .unknownUser)
        let long = StartRequest(processID: "long", arguments: ["/bin/true", String(repeating: "a", count: 200_000)])
        let tooLong = failure { try agent.open(.start(long)) }
        #expect(tooLong?.code == .startFailed)
        #expect(tooLong?.message.contains("execve") == true)
        #expect(try agent.processes().allSatisfy { $0.exit != nil })
    }

    @Test("gets its working directory made, parents too, when it asks for that")
    func makesDirectory() throws {
        let agent = try TestAgent()
        let folder = "/tmp/execbox-agent-made-\(agent.pid)"
        let request = StartRequest(
            processID: "a", arguments: ["/bin/sh", "-c", "pwd; stat -c '%a %u' . .."], workingDirectory: "\(folder)/b/c",
            createsWorkingDirectory: true, user: "65534:65534")
        #expect(try agent.run(request).text == "\(folder)/b/c\n755 0\n755 0\n")
        _ = try agent.run("rm -rf \(folder)")
    }

    @Test("with an id that was used attaches if the command is the same, and is a conflict if not")
    func sameID() throws {
        let agent = try TestAgent()
        let request = StartRequest.shell("echo $$; exec sleep 1000", id: "one", isRetained: true)
        let first = try agent.open(.start(request)).read { $0.stdout.last == 0x0A }
        let second = try agent.open(.start(request)).read { $0.stdout.last == 0x0A }
        #expect(first.stdout == second.stdout)
        #expect(failure { try agent.open(.start(.shell("echo other", id: "one"))) }?.code == .conflict)
        #expect(try agent.processes().count == 1)
    }

    @Test("inherits nothing of the agent but its first three descriptors and is a likelier victim when memory runs out")
    func cleanChild() throws {
        let agent = try TestAgent()
        #expect(try agent.run("ls /proc/self/fd").text == "0\n1\n2\n3\n", "3 is what ls itself opened")
        #expect(try agent.run("cat /proc/self/oom_score_adj").text == "500\n")
        let status = try agent.run("grep -E '^Sig(Blk|Ign)' /proc/self/status").text
        #expect(status == "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n")
        #expect(try agent.run("ps -o pid=,pgid=,sid= -p $$ | awk '{print ($1==$2 && $2==$3)}'").text == "1\n")
    }

    // MARK: Users

    @Test("runs as the user it asks for, with that user's groups and home and without capabilities")
    func users() throws {
        let agent = try TestAgent()
        #expect(try agent.run("id -u; id -g; id -G", user: "4242:4343").text == "4242\n4343\n4343\n")
        #expect(try agent.run("id -un; echo $HOME; echo $USER", user: "nobody").text == "nobody\n/nonexistent\nnobody\n")
        #expect(try agent.run("id -u; id -g", user: "").text == "0\n0\n")
        let capabilities = try agent.run("grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status | cut -f2", user: "nobody").text
        #expect(capabilities == String(repeating: "0000000000000000\n", count: 4))
    }

    // MARK: Stdin

    @Test("reads what is sent to it, and ends when its stdin is closed")
    func stdin() throws {
        let agent = try TestAgent()
        #expect(try agent.run(.shell("cat; echo end"), stdin: Array("one\ntwo".utf8)).text == "one\ntwoend\n")
    }

    @Test("without stdin reads the end at once")
    func noStdin() throws {
        let agent = try TestAgent()
        let request = StartRequest(processID: "a", arguments: ["/bin/sh", "-c", "cat; readlink /proc/self/fd/0"], opensStdin: false)
        #expect(try agent.run(request).text == "/dev/null\n")
    }

    @Test("does not take a lost connection for a closed stdin, and gets frames of several writers whole")
    func writers() throws {
        let agent = try TestAgent()
        let first = try agent.open(.start(.shell("cat", id: "cat", isRetained: true)))
        let reader = try agent.open(.attach(AttachRequest(processID: "cat")))
        try first.send(.stdin(Array("first\n".utf8)))
        _ = try reader.read { $0.text == "first\n" }
        first.close()
        let second = try agent.open(.attach(AttachRequest(processID: "cat")))
        try second.send(.stdin(Array("second\n".utf8)))
        _ = try reader.read { $0.text == "second\n" }
        try second.send(.stdinClose)
        #expect(try reader.outcome().report?.exitCode == 0)
    }

    @Test("grants credit as it reads, and the connection that sends more than that is closed")
    func credit() throws {
        let agent = try TestAgent()
        let connection = try agent.open(.start(.shell("sleep 1000", id: "sleeper")))
        let piece = [UInt8](repeating: 0x61, count: 64 * 1024)
        for _ in 0..<4 { try connection.send(.stdin(piece)) }
        // The pipe holds some, which is credited; beyond that and the credit nothing may come.
        try connection.send(.stdin(piece))
        try connection.send(.stdin(piece))
        let outcome = try connection.outcome()
        #expect(outcome.failure?.code == .invalidRequest)
        #expect(try connection.nextIfOpen() == nil)
        #expect(try agent.ask(.signal(processID: "sleeper", name: "SIGKILL")) == .done, "a full stdin hides no signal")

        let sender = try agent.open(.start(.shell("cat > /dev/null; echo done", id: "eater")))
        var credit = 256 * 1024
        var sent = 0
        while sent < 4 << 20 {
            while credit < piece.count {
                guard case .frame(.credit(let more)) = try sender.next() else { throw TestAgent.Failure.unexpected("no credit") }
                credit += Int(more)
            }
            try sender.send(.stdin(piece))
            credit -= piece.count
            sent += piece.count
        }
        try sender.send(.stdinClose)
        #expect(try sender.outcome().text == "done\n")
    }

    // MARK: Terminals

    @Test("has a terminal of the asked-for size, and hears when it changes")
    func terminal() throws {
        let agent = try TestAgent()
        let script = "trap 'stty size; exit 3' WINCH; test -t 0 && test -t 1 && test -t 2 && stty size; while :; do sleep 0.05; done"
        let connection = try agent.open(.start(.shell(script, id: "tty", terminal: .init(columns: 100, rows: 40))))
        _ = try connection.read { $0.text == "40 100\r\n" }
        #expect(try agent.ask(.resize(processID: "tty", columns: 132, rows: 50)) == .done)
        let outcome = try connection.outcome()
        #expect(outcome.text == "50 132\r\n")
        #expect(outcome.report?.exitCode == 3)
        #expect(outcome.stderr.isEmpty)
        let pipe = try agent.open(.start(.shell("exec sleep 1000", id: "pipe")))
        guard case .failed(let failure) = try agent.ask(.resize(processID: "pipe", columns: 1, rows: 1)) else {
            throw TestAgent.Failure.unexpected("done")
        }
        #expect(failure.code == .invalidRequest)
        try pipe.send(.signal("KILL"))
        #expect(try pipe.outcome().report?.exitCode == 137)
    }

    @Test("on a terminal is interrupted by ^C")
    func controlC() throws {
        let agent = try TestAgent()
        let connection = try agent.open(.start(.shell("echo ready; exec sleep 1000", terminal: .init(columns: 80, rows: 24))))
        _ = try connection.read { $0.text == "ready\r\n" }
        try connection.send(.stdin([3]))
        let outcome = try connection.outcome()
        #expect(outcome.report?.signal == "SIGINT")
        #expect(outcome.report?.exitCode == 130)
    }

    @Test("on a terminal sees the end of its input after a whole line and after half of one", arguments: ["line\n", "half", ""])
    func endOfFile(_ input: String) throws {
        let agent = try TestAgent()
        let connection = try agent.open(.start(.shell("stty -echo; echo ready; cat; echo end", terminal: .init(columns: 80, rows: 24))))
        _ = try connection.read { $0.text == "ready\r\n" }
        try connection.send(.stdin(Array(input.utf8)))
        try connection.send(.stdinClose)
        let text = try connection.outcome().text
        #expect(text == input.replacing("\n", with: "\r\n") + "end\r\n")
    }

    @Test("on a raw terminal gets nothing when stdin is closed")
    func rawTerminal() throws {
        let agent = try TestAgent()
        let script = "stty raw -echo; printf ready; head -c 3 | od -An -tx1"
        let connection = try agent.open(.start(.shell(script, terminal: .init(columns: 80, rows: 24))))
        _ = try connection.read { $0.text == "ready" }
        try connection.send(.stdin([1, 2]))
        try connection.send(.stdinClose)
        try connection.send(.stdin([5]))
        #expect(try connection.outcome().text.split(separator: " ").map { $0.filter(\.isNumber) } == ["01", "02", "05"])
    }

    // MARK: Signals

    @Test("is signalled with its whole group, by operation and by frame")
    func group() throws {
        let agent = try TestAgent()
        let script =
            "sh -c 'trap \"echo child; exit\" USR1; echo up; while :; do sleep 0.05; done' & trap 'wait; echo leader; exit 5' USR1; wait"
        for byFrame in [false, true] {
            let connection = try agent.open(.start(.shell(script, id: "group-\(byFrame)")))
            _ = try connection.read { $0.text == "up\n" }
            if byFrame {
                try connection.send(.signal("SIGUSR1"))
            } else {
                #expect(try agent.ask(.signal(processID: "group-false", name: "usr1")) == .done)
            }
            let outcome = try connection.outcome()
            #expect(outcome.text == "child\nleader\n")
            #expect(outcome.report?.exitCode == 5)
        }
    }

    @Test("that is unknown, has ended, or a signal that is none, is told apart")
    func signalFailures() throws {
        let agent = try TestAgent()
        _ = try agent.run(.shell("true", id: "over", isRetained: true))
        func code(_ id: String, _ name: String) throws -> AgentFailure.Code? {
            guard case .failed(let failure) = try agent.ask(.signal(processID: id, name: name)) else { return nil }
            return failure.code
        }
        #expect(try code("over", "TERM") == .ended)
        #expect(try code("over", "SIGNONE") == .invalidRequest)
        #expect(try code("nobody", "TERM") == .notFound)
    }

    @Test("that outlives its time is killed with its group, and the report says so")
    func timeout() throws {
        let outcome = try TestAgent().run(.shell("echo begun; sleep 1000 & wait", timeoutMs: 300))
        #expect(outcome.text == "begun\n")
        #expect(outcome.report?.cause == .timeout)
        #expect(outcome.report?.exitCode == 137)
        #expect(outcome.report?.signal == "SIGKILL")
    }

    // MARK: Ends

    @Test("has ended when it ends, although a grandchild keeps its pipe open")
    func grandchild() throws {
        let agent = try TestAgent()
        let outcome = try agent.run("sleep 1000 & echo hi; exit 4")
        #expect(outcome.text == "hi\n")
        #expect(outcome.report?.exitCode == 4)
    }

    @Test("has ended when it ends, although a grandchild goes on writing for ever")
    func noisyGrandchild() throws {
        let agent = try TestAgent()
        let outcome = try agent.run("(while :; do echo noise; sleep 0.05; done) & echo hi; exit 4")
        #expect(outcome.text.contains("hi\n"))
        #expect(outcome.report?.exitCode == 4)
    }

    @Test("loses nothing of what it wrote before its end, even if the reader begins much later")
    func lateReader() throws {
        let agent = try TestAgent()
        let connection = try agent.open(.start(.shell("seq 1 20000; sleep 1000 & exit 0", id: "late", bufferBytes: 32 * 1024)))
        try agent.waitUntil("output") { $0.contains { $0.stdoutBytes > 0 } }
        let outcome = try connection.outcome()
        #expect(outcome.text == (1...20_000).map { "\($0)\n" }.joined())
    }

    @Test("leaves nothing behind in the agent: 200 that fail, 300 that run, 10 on terminals")
    func leaks() throws {
        let agent = try TestAgent()
        _ = try agent.run("true")
        func settled() throws -> Int {
            var count = 0
            // Both idle connections are there, and those before them gone.
            try TestAgent.poll("the descriptors to settle") {
                let now = agent.openDescriptors()
                defer { count = now }
                usleep(20_000)
                return now == count && now < 20
            }
            return count
        }
        let before = try settled()
        for _ in 0..<200 {
            let request = StartRequest(processID: StartRequest.freshID, arguments: ["/no/such"], user: Bool.random() ? "" : "ghost")
            #expect(throws: AgentFailure.self) { try agent.open(.start(request)) }
        }
        for _ in 0..<300 {
            #expect(try agent.run(StartRequest(processID: StartRequest.freshID, arguments: ["/bin/true"])).report?.exitCode == 0)
        }
        for _ in 0..<10 { _ = try agent.run("echo", terminal: .init(columns: 80, rows: 24)) }
        try TestAgent.poll("the processes to be forgotten") { try agent.processes().isEmpty }
        #expect(try settled() == before)
    }

    @Test("is one of 64 at once without an error")
    func many() throws {
        let agent = try TestAgent()
        let connections = try (0..<64).map {
            try agent.open(.start(.shell("read line; echo \($0) $line; seq 1 2000; exit \($0)", id: "many-\($0)")))
        }
        #expect(try agent.processes().count == 64)
        for (index, connection) in connections.enumerated() { try connection.send(.stdin(Array("go \(index)\n".utf8))) }
        let numbers = (1...2000).map { "\($0)\n" }.joined()
        for (index, connection) in connections.enumerated() {
            let outcome = try connection.outcome()
            #expect(outcome.text == "\(index) go \(index)\n" + numbers)
            #expect(outcome.report?.exitCode == Int32(index))
        }
    }
}
