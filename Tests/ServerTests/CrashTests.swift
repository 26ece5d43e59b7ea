import ExecboxAPI
import ExecboxCurl
import ExecboxModel
import ExecboxPostgres
import ExecboxTestRandom
import ExecboxTestSupport
import ExecboxWebSocket
import Glibc
import Testing

/// The plug is pulled: nothing that was promised may be lost.
@Suite(.serialized) struct CrashTests {
    @Test func sessionsExecsAndTheirOutputSurviveAKilledServer() async throws {
        try await ServerProcess.with { server in
            // It cannot end before we let it, however long the next server takes to start.
            let script =
                "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); sleep 0.005; done; while [ ! -e /tmp/end ]; do sleep 0.05; done; exit 9"
            let session = try await server.create(["sh", "-c", script])
            let waiting = "echo before; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo after; exit 4"
            let exec = try await server.request(
                "POST", "/v1/sessions/\(session.id)/exec",
                json: #"{"command":["sh","-c","\#(waiting)"],"id":"mine","detach":true}"#)
            #expect(exec.status == 202)
            var seen = StreamRecord()
            let first = try await server.stream("/v1/sessions/\(session.id)/attach")
            try await server.collect(first, into: &seen) { $0.stdout.count > 200 }
            await server.kill()
            await first.close()
            try await server.start()

            let open = try await server.request("POST", "/v1/sessions/\(session.id)/exec", json: #"{"command":["touch","/tmp/go"]}"#)
            #expect(open.status == 200)
            let mine = try await server.record("/v1/sessions/\(session.id)/exec?id=mine")
            #expect(mine.text == "before\nafter\n")
            #expect(mine.exit == 4)
            let end = try await server.request(
                "POST", "/v1/sessions/\(session.id)/exec", json: #"{"command":["touch","/tmp/end"],"detach":true}"#)
            #expect(end.status == 202)

            let second = try await server.stream("/v1/sessions/\(session.id)/attach?offset=\(seen.offset)")
            try await server.collect(second, into: &seen)
            #expect(firstDifference(seen.stdout, Array((0..<400).map { "line \($0)\n" }.joined().utf8)) == nil)
            #expect(seen.exit == 9)
            #expect(seen.gapBytes == 0)
            let ended = try await server.ended(session.id)
            #expect(ended.reason == .exited)
            #expect(ended.exitCode == 9)
        }
    }

    @Test func aDeadlineThatPassesWhileTheServerIsDownEndsTheSessionAfterTheRestart() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sleep", "600"], extra: #","resources":{"timeoutMs":3000}"#)
            let due = try #require(session.expiresAt)
            await server.kill()
            try await eventually("the deadline has passed") { Timestamp.now > due }
            try await server.start()
            let ended = try await server.ended(session.id)
            #expect(ended.reason == .timeout)
            #expect(ended.status == .killed)
            #expect(ended.exitCode == 137)
            #expect(try #require(ended.endedAt) >= due)
        }
    }

    @Test func aStopThatWasAskedForIsFinishedByTheNextServer() async throws {
        try await ServerProcess.with { server in
            // Main takes the signal and goes on: only SIGKILL, due after the grace, ends it.
            let session = try await server.create(["sh", "-c", "trap 'echo term' TERM; echo ready; while true; do sleep 0.05; done"])
            let stream = try await server.stream("/v1/sessions/\(session.id)/attach")
            var seen = StreamRecord()
            try await server.collect(stream, into: &seen) { $0.text.contains("ready") }
            async let stop = server.request("POST", "/v1/sessions/\(session.id)/stop", json: #"{"graceMs":3000}"#)
            try await server.collect(stream, into: &seen) { $0.text.contains("term") }
            await server.kill()
            _ = try? await stop
            await stream.close()
            try await server.start()
            let ended = try await server.ended(session.id)
            #expect(ended.reason == .stopped)
            #expect(ended.exitCode == 137)
            #expect(ended.signal == "SIGKILL")
            let started = try #require(ended.startedAt)
            #expect(try #require(ended.endedAt) >= started.adding(milliseconds: 3000))
        }
    }

    @Test func aContainerThatIsRemovedBehindOurBackIsBackendLost() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sleep", "600"])
            let containers = try await server.containers()
            #expect(containers.count == 1)
            try await server.engine.docker("DELETE", "/containers/\(try #require(containers.first))?force=1")
            let removed = ContinuousClock.now
            let ended = try await server.ended(session.id)
            #expect(ended.reason == .backendLost)
            #expect(ended.status == .failed)
            // A promise of ten seconds to whoever waits for a bill, not a speed.
            #expect(removed.duration(to: .now) < .seconds(10))
            let stream = try await server.record("/v1/sessions/\(session.id)/attach")
            #expect(stream.exit == nil)
            #expect(stream.closeCode == .conflict)
            #expect(stream.errors.first?.hasPrefix("backend_lost") == true)
        }
    }

    @Test func aKilledServerLeavesNoContainerOfAnEndedSession() async throws {
        try await ServerProcess.with { server in
            for _ in 0..<3 { _ = try await server.create(["sleep", "0.2"]) }
            await server.kill()
            try await server.start()
            try await eventually("all containers are gone") { try await server.containers().isEmpty }
        }
    }

    /// Main writes numbered lines at full speed, nobody reads, and the server is killed at a moment that the seed chooses; in every second
    /// round another server takes over while the first is only stopped, and the first is continued later.
    @Test(.timeLimit(.minutes(20))) func theLogIsMainsOutputByteForByteWheneverTheServerDies() async throws {
        let lines = 134_000
        let rounds = 50
        var generator = SeededGenerator(seed: 2026)
        let expected = Array((1...lines).map { "\($0) 0123456\n" }.joined().utf8)
        #expect(expected.count > 1_700_000 && expected.count < 2 << 20)
        let delays = (0..<rounds).map { _ in UInt64.random(in: 0..<150_000, using: &generator) }
        try await ServerProcess.with(environment: ["EXECBOX_CLAIM_SECONDS": "2"]) { server in
            for (round, delay) in delays.enumerated() {
                let session = try await server.create(["awk", "BEGIN { for (i = 1; i <= \(lines); i++) print i \" 0123456\" }"])
                try await Task.sleep(for: .microseconds(delay))
                if round % 2 == 0 {
                    await server.kill()
                    try await server.start()
                    _ = try await server.ended(session.id)
                } else {
                    server.send(SIGSTOP)
                    try await server.withSecond {
                        try await eventually("the second server records round \(round) to the end") {
                            try await server.database.withConnection { connection in
                                try await connection.queryOne(
                                    "SELECT ended_at IS NOT NULL AS ended FROM sessions WHERE id = \(session.id)"
                                ).decode(Bool.self, "ended")
                            }
                        }
                        server.send(SIGCONT)
                    }
                }
                let log = try await server.request("GET", "/v1/sessions/\(session.id)/logs")
                let complete = log.headers.first { $0.name.lowercased() == "x-execbox-complete" }?.value
                #expect(complete == "true", "round \(round)")
                #expect(firstDifference(log.body, expected) == nil, "round \(round)")
            }
        }
    }
}
