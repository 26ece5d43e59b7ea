import ExecboxAPI
import ExecboxCurl
import ExecboxModel
import ExecboxTestSupport
import ExecboxWebSocket
import ExecboxWire
import NIOCore
import NIOHTTP1
import Testing

@Suite struct StreamTests {
    @Test func tenReadersOfAnEndedSessionGetTheSameBytes() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sh", "-c", "seq 1 2000; echo oops >&2; exit 3"])
            _ = try await server.ended(session.id)
            let expected = Array((1...2000).map { "\($0)\n" }.joined().utf8)
            for _ in 0..<10 {
                let record = try await server.record("/v1/sessions/\(session.id)/attach")
                #expect(firstDifference(record.stdout, expected) == nil)
                #expect(record.stderr == Array("oops\n".utf8))
                #expect(record.exit == 3)
                #expect(record.closeCode == .normal)
            }
        }
    }

    @Test func whoSeesExitAndAsksSeesAnEndedSession() async throws {
        try await ServerProcess.with { server in
            for _ in 0..<10 {
                let session = try await server.create(["sh", "-c", "read line; echo $line"])
                let record = try await server.record("/v1/sessions/\(session.id)/attach", stdin: Array("hello\n".utf8))
                #expect(record.exit == 0)
                #expect(record.text == "hello\n")
                #expect(try await server.session(session.id).status == .stopped)
            }
        }
    }

    @Test func outputBeyondHeadAndRingArrivesWholeAtALosslessReader() async throws {
        try await ServerProcess.with { server in
            let script = "read go; dd if=/dev/zero bs=65536 count=400 2>/dev/null | tr '\\0' x; echo end"
            let session = try await server.create(["sh", "-c", script])
            let record = try await server.record("/v1/sessions/\(session.id)/attach", stdin: Array("go\n".utf8))
            #expect(record.gapBytes == 0)
            #expect(record.stdout.count == 400 * 65_536 + 4)
            #expect(record.stdout.dropLast(4).allSatisfy { $0 == UInt8(ascii: "x") })
            #expect(record.exit == 0)
        }
    }

    @Test func aLateReaderOfALongOutputGetsHeadGapAndTail() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sh", "-c", "dd if=/dev/zero bs=65536 count=160 2>/dev/null | tr '\\0' x; echo end"])
            let ended = try await server.ended(session.id)
            let total = 160 * 65_536 + 4
            #expect(ended.usage?.stdoutBytes == Int64(total))
            let record = try await server.record("/v1/sessions/\(session.id)/attach")
            #expect(UInt64(record.stdout.count) + record.gapBytes == UInt64(total))
            #expect(record.gapBytes > 0)
            #expect(record.stdout.count >= 4 << 20)
            #expect(record.stdout.suffix(4) == Array("end\n".utf8))
            let inHole = try await server.record("/v1/sessions/\(session.id)/attach?offset=\(3 << 20)")
            #expect(inHole.closeCode == .gone)
            #expect(inHole.errors.first?.hasPrefix("GONE") == true)
            let logs = "/v1/sessions/\(session.id)/logs?offset=\(3 << 20)"
            for path in [logs, logs + "&follow=true"] {
                let log = try await server.request("GET", path)
                #expect(log.status == 410)
                guard case .number(let first)? = try ErrorBody.fromJSON(log.body).details?["firstOffset"] else {
                    Issue.record("no firstOffset in \(String(decoding: log.body, as: UTF8.self))")
                    continue
                }
                #expect(first > 3 << 20 && first < total)
            }
        }
    }

    @Test func aFollowedLogsLimitCountsCombinedBytesLikeItsOffset() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sh", "-c", "printf out1; sleep 0.2; printf err1 >&2; sleep 0.2; printf out2"])
            _ = try await server.ended(session.id)
            let log = try await server.request("GET", "/v1/sessions/\(session.id)/logs?stream=stdout&offset=2&limit=8&follow=true")
            #expect(String(decoding: log.body, as: UTF8.self) == "t1ou")
            let beyond = try await server.request("GET", "/v1/sessions/\(session.id)/logs?offset=13&follow=true")
            #expect(beyond.status == 400)
        }
    }

    @Test func anExecsOutputIsWholeHoweverFastItBeginsToWrite() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sleep", "600"])
            for _ in 0..<20 {
                let record = try await server.record(
                    "/v1/sessions/\(session.id)/exec?cmd=dd&cmd=if%3D/dev/zero&cmd=bs%3D65536&cmd=count%3D64&cmd=status%3Dnone")
                #expect(record.gapBytes == 0)
                #expect(record.stdout.count == 64 * 65_536)
                #expect(record.exit == 0)
            }
        }
    }

    @Test func aStuckReaderHoldsMainBackButNotItsKill() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sh", "-c", "yes"])
            let stuck = try await server.stream("/v1/sessions/\(session.id)/attach")
            // Nobody calls receive: buffers fill up to their bounds and main blocks.
            var last: Int64 = -1
            try await eventually("main is held back") {
                try await Task.sleep(for: .milliseconds(300))
                let bytes = try await server.cpuMs(session.id)
                defer { last = bytes }
                return bytes == last
            }
            let killed = try await server.request("DELETE", "/v1/sessions/\(session.id)")
            #expect(killed.status == 200)
            #expect(try await server.session(session.id).reason == .killed)
            stuck.beginClose(.normal, discardingQueued: true)
        }
    }

    @Test func detachingNeitherEndsMainNorItsStdin() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["cat"])
            let first = try await server.stream("/v1/sessions/\(session.id)/attach")
            try await first.send(binary: ByteBuffer(bytes: Frame.stdin(Array("one ".utf8)).bytes))
            var record = StreamRecord()
            try await server.collect(first, into: &record) { $0.text == "one " }
            await first.close()
            let second = try await server.record("/v1/sessions/\(session.id)/attach?offset=\(record.offset)", stdin: Array("two".utf8))
            #expect(second.text == "two")
            #expect(second.exit == 0)
        }
    }

    @Test(arguments: [
        ([UInt8](), WebSocketCloseCode.protocolError), ([0xEE], .protocolError), ([0x01, 0, 0, 0, 9, 1], .protocolError),
        ([0x06, 1], .protocolError), ([0x02, 0, 0, 0, 0], .protocolError), ([0x08, 0, 0, 0, 3, 65, 66, 67], .protocolError),
    ])
    func aMalformedFrameEndsTheStreamAndNotTheSession(_ message: [UInt8], _ code: WebSocketCloseCode) async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sleep", "600"])
            let stream = try await server.stream("/v1/sessions/\(session.id)/attach")
            try await stream.send(binary: ByteBuffer(bytes: message))
            var record = StreamRecord()
            try await server.collect(stream, into: &record)
            #expect(record.closeCode == code)
            #expect(record.errors.count == 1)
            #expect(try await server.session(session.id).status == .running)
        }
    }

    @Test func aTextMessageUnderBinaryIs1003() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sleep", "600"])
            let stream = try await server.stream("/v1/sessions/\(session.id)/attach")
            try await stream.send(text: "hello")
            var record = StreamRecord()
            try await server.collect(stream, into: &record)
            #expect(record.closeCode == .unacceptableData)
        }
    }

    @Test func refusalsBeforeTheUpgradeArePlainHTTP() async throws {
        try await ServerProcess.with { server in
            let ended = try await server.ended(try await server.create(["true"]).id)
            let cases: [(path: String, key: String, status: Int)] = [
                ("/v1/sessions/sess_00000000000000000000000000/attach", server.key, 404),
                ("/v1/sessions/\(ended.id)/exec?cmd=ls", server.key, 409), ("/v1/sessions/\(ended.id)/attach?x=1", server.key, 400),
                ("/v1/sessions/\(ended.id)/attach", "eb_no", 401),
            ]
            for test in cases {
                do {
                    let (connection, _) = try await WebSocketClient().connect(
                        "ws://127.0.0.1:\(server.port)\(test.path)", headers: ["Authorization": "Bearer \(test.key)"])
                    await connection.close()
                    Issue.record("\(test.path) was upgraded")
                } catch let error as WebSocketClientError {
                    guard case .refused(let status, _, let body) = error else {
                        Issue.record("\(test.path): \(error)")
                        continue
                    }
                    #expect(status == test.status)
                    #expect(try !ErrorBody.fromJSON(body).code.isEmpty)
                }
            }
        }
    }

    @Test func aBrowsersKeyInTheSubprotocolIsTakenAndNotEchoed() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["echo", "hi"])
            let (connection, headers) = try await WebSocketClient().connect(
                "ws://127.0.0.1:\(server.port)/v1/sessions/\(session.id)/attach",
                subprotocols: ["execbox.v1", "execbox.bearer.\(server.key)"])
            #expect(headers.first(name: "Sec-WebSocket-Protocol") == "execbox.v1")
            var record = StreamRecord()
            try await server.collect(connection, into: &record)
            #expect(record.text == "hi\n")
        }
    }

    @Test func aClientThatLeavesHangsItsExecUp() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sleep", "600"])
            let stream = try await server.stream("/v1/sessions/\(session.id)/exec?cmd=sleep&cmd=500")
            try await eventually("the exec runs") { try await server.execs(session.id).first?.state == .running }
            await stream.close(.normal)
            try await eventually("the exec is hung up") {
                try await server.execs(session.id).allSatisfy { $0.state == .ended }
            }
        }
    }

    @Test func anExecWithAnIDIsNotHungUpAndNeverStartsTwice() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sleep", "600"])
            let path = "/v1/sessions/\(session.id)/exec?cmd=sh&cmd=-c&cmd=echo+start;+read+x;+echo+$x&id=job"
            let first = try await server.stream(path)
            var record = StreamRecord()
            try await server.collect(first, into: &record) { $0.text == "start\n" }
            await first.close(.normal)
            let second = try await server.record("\(path)&offset=\(record.offset)", stdin: Array("go\n".utf8))
            #expect(second.text == "go\n")
            #expect(second.exit == 0)
            let other = try await server.request("POST", "/v1/sessions/\(session.id)/exec", json: #"{"command":["ls"],"id":"job"}"#)
            #expect(other.status == 409)
        }
    }

    @Test func sixtyFourExecsAtOnceAllGiveTheirOwnAnswer() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sleep", "600"])
            let answers = try await withThrowingTaskGroup(of: (Int, ExecResultBody).self) { group in
                for number in 0..<64 {
                    group.addTask {
                        let response = try await server.request(
                            "POST", "/v1/sessions/\(session.id)/exec", json: #"{"command":["sh","-c","echo \#(number); exit \#(number)"]}"#)
                        return (number, try ExecResultBody.fromJSON(response.body))
                    }
                }
                var answers: [(Int, ExecResultBody)] = []
                for try await answer in group { answers.append(answer) }
                return answers
            }
            for (number, answer) in answers {
                #expect(answer.exitCode == Int32(number))
                #expect(answer.stdoutText == "\(number)\n")
            }
        }
    }

    @Test func twentySessionsAtOnceAllRunToTheirEnd() async throws {
        try await ServerProcess.with { server in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        let session = try await server.create(["sh", "-c", "echo \(number); exit \(number)"])
                        let record = try await server.record("/v1/sessions/\(session.id)/attach")
                        #expect(record.exit == Int32(number))
                        #expect(record.text == "\(number)\n")
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func aShutdownEndsStreamsWith1001AndLeavesTheSandbox() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sleep", "600"])
            let stream = try await server.stream("/v1/sessions/\(session.id)/attach")
            server.send(15)
            var record = StreamRecord()
            try await server.collect(stream, into: &record)
            #expect(record.closeCode == .goingAway)
            try await server.end()
            try await server.start()
            #expect(try await server.session(session.id).status == .running)
            #expect(try await server.containers().count == 1)
        }
    }
}
