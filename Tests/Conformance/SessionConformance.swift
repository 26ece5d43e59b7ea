import ExecboxAPI
import ExecboxClient
import ExecboxModel
import Testing

/// PROTOCOL §2 against every backend.
@Suite struct SessionConformance {
    @Test(arguments: [0, 1, 7, 126, 255]) func anExitCodeIsReportedAsItIs(_ code: Int) async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.run(["sh", "-c", "exit \(code)"])
            #expect(session.exitCode == Int32(code))
            #expect(session.reason == .exited)
            #expect(session.status == .stopped)
            #expect(session.endedAt != nil)
            #expect(try #require(session.usage).costMicros >= 1000)
        }
    }

    @Test func aSignalExitNamesTheSignal() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.run(["sh", "-c", "kill -SEGV $$"])
            #expect(session.reason == .signaled)
            #expect(session.signal == "SIGSEGV")
            #expect(session.exitCode == 139)
        }
    }

    @Test func environmentWorkDirAndUserAreAsAsked() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.run(["sh", "-c", "echo $GREETING; pwd; id -u; id -g"]) { body in
                body.env = ["GREETING": "grüß 'dich' \"so\" $HOME"]
                body.workDir = "/made/for/this"
                body.user = "nobody"
            }
            #expect(try await subject.output(of: session) == "grüß 'dich' \"so\" $HOME\n/made/for/this\n65534\n65534\n")
            #expect(session.env == ["GREETING"])
            #expect(session.workDir == "/made/for/this")
            #expect(session.user == "nobody")
        }
    }

    @Test func argumentsReachTheCommandUnchanged() async throws {
        try await ConformanceSubject.each { subject in
            let odd = ["", " ", "a b", "*", "$HOME", "`id`", "line\nbreak", "ü€🦊", "-n", "--", "'", "\""]
            let session = try await subject.run(["sh", "-c", "for a in \"$@\"; do printf '<%s>' \"$a\"; done", "sh"] + odd)
            #expect(try await subject.output(of: session) == odd.map { "<\($0)>" }.joined())
        }
    }

    @Test(arguments: [
        (["no-such-command"], nil as String?), (["/etc"], nil), (["true"], "nobody-here"),
    ]) func aMainThatCannotStartFailsWithItsReason(_ command: [String], _ user: String?) async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.run(command) { $0.user = user }
            #expect(session.status == .failed)
            #expect(session.reason == .startFailed)
            #expect(session.error?.contains(user ?? command[0]) == true)
            #expect(session.usage?.costMicros == 0)
        }
    }

    @Test func anImageThatDoesNotExistIsAnImageError() async throws {
        try await ConformanceSubject.each { subject in
            let made = try await subject.create(["true"]) { $0.image = "127.0.0.1:1/no/such:image" }
            let session = try await subject.client.sessions.wait(made.id)
            #expect(session.status == .failed)
            #expect(session.reason == .imageError)
            #expect(session.error?.isEmpty == false)
        }
    }

    @Test func createGetAndListTellTheSame() async throws {
        try await ConformanceSubject.each { subject in
            let created = try await subject.idle { $0.labels = ["team": "a"] }
            #expect(created.status == .running)
            #expect(try await subject.client.sessions.get(created.id) == created)
            var query = ListSessionsQuery()
            query.labels = ["team": "a"]
            query.statuses = [.running]
            #expect(try await subject.client.sessions.list(query).sessions == [created])
            query.labels = ["team": "b"]
            #expect(try await subject.client.sessions.list(query).sessions.isEmpty)
        }
    }

    @Test func stopSendsTheSignalAndKillsAfterTheGrace() async throws {
        try await ConformanceSubject.each { subject in
            let polite = try await subject.create(["sh", "-c", "trap 'echo bye; exit 5' TERM; echo ready; while true; do sleep 0.05; done"])
            try await subject.waitForOutput("ready", of: polite)
            #expect(try await subject.client.sessions.stop(polite.id, graceMs: 10_000).status == "stopped")
            let ended = try await subject.client.sessions.get(polite.id)
            #expect(ended.reason == .stopped)
            #expect(ended.exitCode == 5)
            var query = LogsQuery()
            query.stream = .stdout
            let stdout = try await subject.client.sessions.logs(ended.id, query).bytes
            #expect(String(decoding: stdout, as: UTF8.self) == "ready\nbye\n")

            let stubborn = try await subject.create(["sh", "-c", "trap '' TERM; echo ready; while true; do sleep 0.05; done"])
            try await subject.waitForOutput("ready", of: stubborn)
            #expect(try await subject.client.sessions.stop(stubborn.id, graceMs: 200).status == "stopped")
            let killed = try await subject.client.sessions.get(stubborn.id)
            #expect(killed.reason == .stopped)
            #expect(killed.exitCode == 137)
        }
    }

    @Test func killEndsEverythingAndASecondOneIsAConflict() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.idle()
            #expect(try await subject.client.sessions.kill(session.id).status == "killed")
            let ended = try await subject.client.sessions.get(session.id)
            #expect(ended.status == .killed)
            #expect(ended.reason == .killed)
            #expect(ended.exitCode == 137)
            await #expect(throws: ExecboxClientError.self) { try await subject.client.sessions.kill(session.id) }
            await #expect(throws: ExecboxClientError.self) { try await subject.client.sessions.stop(session.id) }
            #expect(try await subject.client.sessions.get(session.id) == ended)
        }
    }

    @Test func timeoutAndIdleTimeoutEndTheSession() async throws {
        try await ConformanceSubject.each { subject in
            let late = try await subject.run(["sleep", "600"]) { body in
                body.resources = RequestedResources()
                body.resources?.timeoutMs = 1000
            }
            #expect(late.reason == .timeout)
            #expect(late.status == .killed)
            #expect(try #require(late.usage).durationMs >= 1000)
            let idle = try await subject.run(["sleep", "600"]) { body in
                body.resources = RequestedResources()
                body.resources?.idleTimeoutMs = 1000
            }
            #expect(idle.reason == .idleTimeout)
            #expect(idle.status == .killed)
        }
    }

    @Test func aPatchedDeadlineHolds() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.idle { body in
                body.resources = RequestedResources()
                body.resources?.timeoutMs = 600_000
            }
            let patched = try await subject.client.sessions.patch(session.id, PatchSessionBody(timeoutMs: 1000, labels: ["a": "b"]))
            #expect(patched.labels == ["a": "b"])
            #expect(try #require(patched.expiresAt) < (try #require(session.expiresAt)))
            #expect(try await subject.client.sessions.wait(session.id).reason == .timeout)
        }
    }

    @Test func tooMuchMemoryIsOOMKilled() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.run(["sh", "-c", "x=x; while true; do x=$x$x; done"]) { body in
                body.resources = RequestedResources()
                body.resources?.memoryMB = 32
            }
            #expect(session.reason == .oomKilled)
            #expect(session.status == .killed)
            #expect(session.exitCode == 137)
            #expect(try #require(session.usage).oomKills >= 1)
        }
    }

    @Test func theProcessLimitHolds() async throws {
        try await ConformanceSubject.each { subject in
            let script = "i=0; while [ $i -lt 60 ]; do sleep 30 & i=$((i+1)); done; echo all"
            let session = try await subject.run(["sh", "-c", script]) { body in
                body.resources = RequestedResources()
                body.resources?.pids = 20
            }
            #expect(try await !subject.output(of: session).hasSuffix("all\n"))
        }
    }

    @Test func aWritableLayerOverItsLimitEndsTheSession() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.run(["sh", "-c", "dd if=/dev/zero of=/tmp/big bs=1048576 count=48 2>/dev/null; sleep 600"]) {
                body in
                body.resources = RequestedResources()
                body.resources?.diskMB = 8
            }
            // Where the storage driver enforces the limit, dd fails and main sleeps on; here the watch ends it.
            #expect(session.reason == .diskExceeded)
            #expect(session.error?.contains("8 MB") == true)
        }
    }

    @Test func statsTellWhatTheSandboxUses() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.idle { body in
                body.resources = RequestedResources()
                body.resources?.memoryMB = 64
            }
            let stats = try await subject.client.sessions.stats(session.id)
            #expect(stats.memoryLimitBytes == 64 << 20)
            #expect(stats.memoryBytes > 0)
            #expect(stats.pids >= 2)
        }
    }

    @Test func logsCountCombinedBytesAndFilterAfterwards() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.run(["sh", "-c", "printf out1; sleep 0.2; printf err1 >&2; sleep 0.2; printf out2"])
            let logs = subject.client.sessions
            let both = try await logs.logs(session.id)
            #expect(String(decoding: both.bytes, as: UTF8.self) == "out1err1out2")
            #expect(both.isComplete)
            #expect(both.nextOffset == 12)
            var query = LogsQuery()
            query.stream = .stderr
            #expect(String(decoding: try await logs.logs(session.id, query).bytes, as: UTF8.self) == "err1")
            query.stream = .stdout
            query.offset = 2
            query.limit = 8
            let part = try await logs.logs(session.id, query)
            #expect(String(decoding: part.bytes, as: UTF8.self) == "t1ou")
            #expect(part.nextOffset == 10)
            #expect(!part.isComplete)
        }
    }

    @Test func aFollowedLogEndsWithTheSession() async throws {
        try await ConformanceSubject.each { subject in
            let session = try await subject.create(["sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done"])
            var query = LogsQuery()
            query.follow = true
            var bytes: [UInt8] = []
            for try await chunk in try await subject.client.sessions.logStream(session.id, query) { bytes += chunk }
            #expect(String(decoding: bytes, as: UTF8.self) == "1\n2\n3\n4\n5\n")
        }
    }

    @Test func anExposedPortIsReachedFromOutside() async throws {
        try await ConformanceSubject.each { subject in
            try #require(subject.networks.contains(.exposed))
            let server = "while true; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello' | nc -l -p 8080; done"
            let session = try await subject.create(["sh", "-c", server]) { body in
                body.network = .exposed
                body.ports = [PortSpec(container: 8080, transport: .tcp)]
            }
            #expect(session.status == .running, "\(session.error ?? "")")
            let url = try await subject.client.sessions.url(session.id, port: 8080)
            #expect(url.containerPort == 8080)
            #expect(session.network?.ports?["8080"]?.hostPort == url.hostPort)
            await #expect(throws: ExecboxClientError.self) { try await subject.client.sessions.url(session.id, port: 9) }
        }
    }
}

extension ConformanceSubject {
    /// Reads main's output until it holds `text`.
    func waitForOutput(_ text: String, of session: SessionBody) async throws {
        let stream = try await client.sessions.attach(session.id)
        var seen: [UInt8] = []
        while let event = try await stream.next() {
            if case .stdout(let bytes) = event { seen += bytes }
            if String(decoding: seen, as: UTF8.self).contains(text) { break }
        }
        await stream.detach()
    }
}
