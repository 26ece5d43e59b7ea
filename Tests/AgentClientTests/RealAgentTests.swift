import ExecboxAgentClient
import ExecboxModel
import ExecboxSandbox
import ExecboxWire
import Foundation
import NIOCore
import Testing

/// Client and agent together, over a real socket.
@Suite(.timeLimit(.minutes(2))) struct RealAgentTests {
    @Test("the agent says hello, and that main was started once it was") func agentSaysHello() async throws {
        try await RealAgent.run { agent in
            let hello = try await agent.link.hello(timeout: .seconds(20))
            #expect(hello.protocolVersion == AgentMessage.protocolVersion)
            #expect(hello.bootID.count == Hello.bootIDLength)
            #expect(!hello.mainStarted)
            agent.link.expectBootID(hello.bootID)
            let outcome = try await agent.run(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], id: AgentMessage.mainProcessID)
            #expect(outcome.text == "out\n")
            #expect(outcome.stderr == Array("err\n".utf8))
            #expect(outcome.exit?.cause == .exited)
            #expect(outcome.exit?.exitCode == 3)
            #expect(outcome.exit?.stdoutBytes == 4)
            #expect(outcome.exit?.stderrBytes == 4)
            // The next connection's hello knows.
            for _ in 0..<4 { _ = try await agent.link.request(.list, timeout: .seconds(20)) }
            #expect(try await agent.link.hello(timeout: .seconds(20)).mainStarted)
            #expect(!agent.link.bootIDChanged)
        }
    }

    @Test("64 MiB arrive whole at a reader that begins late") func lateReaderGetsAll() async throws {
        try await RealAgent.run { agent in
            let start = StartRequest(
                processID: "big",
                arguments: ["/bin/sh", "-c", "yes 0123456789abcde | head -c 67108864"],
                environment: ["PATH=/usr/bin:/bin"]
            )
            try await agent.link.withStream(.start(start), timeout: .seconds(20)) { stream in
                // Everybody on the way is full before the first byte is read.
                var written: UInt64 = 0
                while true {
                    guard case .processes(let processes) = try await agent.link.request(.list, timeout: .seconds(20)),
                        let report = processes.first(where: { $0.processID == "big" })
                    else { break }
                    if report.stdoutBytes > 0, report.stdoutBytes == written { break }
                    written = report.stdoutBytes
                }
                #expect(written < 8 << 20)
                let outcome = try await RealAgent.Outcome(reading: stream)
                #expect(outcome.stdout.count == 67_108_864)
                #expect(outcome.missing == 0)
                #expect(outcome.exit?.stdoutBytes == 67_108_864)
                let line = Array("0123456789abcde\n".utf8)
                #expect(
                    stride(from: 0, to: outcome.stdout.count, by: 1_000_000 * 16).allSatisfy {
                        Array(outcome.stdout[$0..<($0 + 16)]) == line
                    })
            }
        }
    }

    @Test("stdin comes back from cat, as far as credit allows, and its end ends it") func stdinWithCredit() async throws {
        try await RealAgent.run { agent in
            let total = 2 << 20
            let start = StartRequest(processID: "cat", arguments: ["/bin/cat"])
            try await agent.link.withStream(.start(start), timeout: .seconds(20)) { stream in
                var credit = Int(AgentMessage.initialStdinCredit)
                var sent = 0
                var received = 0
                var exit: ExitReport?
                while true {
                    while sent < total, credit >= 32_768 {
                        try await stream.send(packet: ByteBuffer(bytes: Frame.stdin(Array(repeating: 7, count: 32_768)).bytes))
                        sent += 32_768
                        credit -= 32_768
                        if sent == total { try await stream.send(.stdinClose) }
                    }
                    guard let event = try await stream.next() else { break }
                    switch event {
                    case .output(let output): received += output.payloadLength
                    case .credit(let more): credit += Int(more)
                    case .exited(let report): exit = report
                    default: Issue.record("\(event)")
                    }
                }
                #expect(received == total)
                #expect(exit?.exitCode == 0)
            }
        }
    }

    @Test("a reader that left comes back with its offset: nothing twice, nothing missing") func resumesByOffset() async throws {
        try await RealAgent.run { agent in
            let script = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done"
            let start = StartRequest(processID: "lines", arguments: ["/bin/sh", "-c", script], isRetained: true)
            var bytes: [UInt8] = []
            try await agent.link.withStream(.start(start), timeout: .seconds(20)) { stream in
                while bytes.count < 1000, case .output(let output) = try await stream.next() { bytes += output.payload.readableBytesView }
            }
            for _ in 0..<3 {
                let attach = AttachRequest(processID: "lines", offset: UInt64(bytes.count), sendsStdin: false)
                try await agent.link.withStream(.attach(attach), timeout: .seconds(20)) { stream in
                    #expect(stream.first == UInt64(bytes.count))
                    guard case .output(let output) = try await stream.next() else { return }
                    bytes += output.payload.readableBytesView
                }
            }
            let attach = AttachRequest(processID: "lines", offset: UInt64(bytes.count), sendsStdin: false)
            let rest = try await agent.link.withStream(.attach(attach), timeout: .seconds(20)) { try await RealAgent.Outcome(reading: $0) }
            #expect(rest.exit?.exitCode == 0)
            let expected = (0..<2000).map { "line \($0)\n" }.joined()
            #expect(String(decoding: bytes + rest.stdout, as: UTF8.self) == expected)
        }
    }

    @Test("what cannot be started or found is refused in the agent's words") func refusals() async throws {
        try await RealAgent.run { agent in
            let link = agent.link
            func code(_ message: AgentMessage) async -> AgentFailure.Code? {
                guard case .refused(let failure) = await linkError({ try await link.withStream(message, timeout: .seconds(20)) { _ in } })
                else { return nil }
                return failure.code
            }
            #expect(await code(.start(StartRequest(processID: "a", arguments: ["/no/such/program"]))) == .commandNotFound)
            #expect(await code(.start(StartRequest(processID: "b", arguments: ["/bin/true"], user: "nobody-knows"))) == .unknownUser)
            #expect(
                await code(.start(StartRequest(processID: "c", arguments: ["/bin/true"], workingDirectory: "/no/such/folder")))
                    == .badWorkingDirectory)
            #expect(await code(.attach(AttachRequest(processID: "nobody"))) == .notFound)
            guard case .refused(let failure) = await linkError({ try await link.request(.signal(processID: "nobody", name: "SIGINT")) })
            else {
                Issue.record("a signal to nobody was delivered")
                return
            }
            #expect(failure.code == .notFound)
        }
    }

    @Test("a process that runs is listed, and ends by the signal it is sent") func listAndSignal() async throws {
        try await RealAgent.run { agent in
            let start = StartRequest(processID: "sleep", arguments: ["/bin/sleep", "1000"])
            try await agent.link.withStream(.start(start), timeout: .seconds(20)) { stream in
                guard case .processes(let processes) = try await agent.link.request(.list) else {
                    Issue.record("no list")
                    return
                }
                let report = try #require(processes.first { $0.processID == "sleep" })
                #expect(report.pid > 0)
                #expect(report.exit == nil)
                guard case .statistics = try await agent.link.request(.stats) else {
                    Issue.record("no statistics")
                    return
                }
                let answer = try await agent.link.request(.signal(processID: "sleep", name: "SIGTERM"))
                #expect(answer == .done)
                let outcome = try await RealAgent.Outcome(reading: stream)
                #expect(outcome.exit?.cause == .signaled)
                #expect(outcome.exit?.exitCode == 143)
                #expect(outcome.exit?.signal == "SIGTERM")
            }
        }
    }

    @Test("200 requests and 40 execs at once are all answered") func manyAtOnce() async throws {
        try await RealAgent.run { agent in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<200 {
                    group.addTask {
                        guard case .processes = try await agent.link.request(.list, timeout: .seconds(60)) else {
                            Issue.record("no list")
                            return
                        }
                    }
                }
                for number in 0..<40 {
                    group.addTask {
                        let start = StartRequest(processID: "e\(number)", arguments: ["/bin/echo", "\(number)"], bufferBytes: 65_536)
                        let outcome = try await agent.link.withStream(.start(start), timeout: .seconds(60)) {
                            try await RealAgent.Outcome(reading: $0)
                        }
                        #expect(outcome.text == "\(number)\n")
                        #expect(outcome.exit?.exitCode == 0)
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("a detached start has no stream, and its output is there for the first who attaches") func detachedStart() async throws {
        try await RealAgent.run { agent in
            let start = StartRequest(processID: "later", arguments: ["/bin/echo", "kept"], isRetained: true, flow: .detached)
            guard case .attached = try await agent.link.request(.start(start), timeout: .seconds(20)) else {
                Issue.record("not attached")
                return
            }
            let attach = AgentMessage.attach(AttachRequest(processID: "later"))
            let outcome = try await agent.link.withStream(attach, timeout: .seconds(20)) { try await RealAgent.Outcome(reading: $0) }
            #expect(outcome.text == "kept\n")
            #expect(outcome.exit?.exitCode == 0)
        }
    }

    @Test("a killed agent loses the stream, and its successor has another boot id") func killedAgent() async throws {
        try await RealAgent.run { agent in
            let hello = try await agent.link.hello(timeout: .seconds(20))
            let start = StartRequest(processID: "sleep", arguments: ["/bin/sleep", "600"])
            try await agent.link.withStream(.start(start), timeout: .seconds(20)) { stream in
                guard case .processes(let processes) = try await agent.link.request(.list, timeout: .seconds(20)) else { return }
                // An agent that is no pid 1 leaves its children behind.
                defer { for process in processes where process.pid > 0 { kill(pid_t(process.pid), SIGKILL) } }
                agent.kill()
                var events: [AgentEvent] = []
                while let event = try await stream.next() { events.append(event) }
                #expect(!events.contains { if case .exited = $0 { true } else { false } })
            }
            let successor = try RealAgent.start(in: agent.directory)
            defer { successor.end() }
            await eventually("its pid is not the one we know") { agent.link.counters.wrongPeers > 0 }
            let transport = AgentTransport.dialOut(directory: agent.directory, peerPID: successor.pid)
            let link = try await agent.links.open(agent.sandboxID, transport: transport)
            link.expectBootID(hello.bootID)
            #expect(await linkError { try await link.hello(timeout: .seconds(20)) } == .otherBoot)
            #expect(link.bootIDChanged)
        }
    }

    @Test("dismiss ends the agent") func dismissEnds() async throws {
        try await RealAgent.run { agent in
            let error = await linkError { try await agent.link.request(.dismiss, timeout: .seconds(20)) }
            #expect(error == nil || error == .connectionLost)
            await eventually("it is gone") { !agent.link.isConnected }
        }
    }
}
