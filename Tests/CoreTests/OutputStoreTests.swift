import ExecboxModel
import ExecboxPostgres
import ExecboxWire
import Testing

@testable import ExecboxCore

@Suite struct OutputStoreTests {
    private func chunk(_ text: String, start: Int64) -> OutputChunk {
        let payload = Array(text.utf8)
        return OutputChunk(start: start, payloadBytes: payload.count, frames: Frame.stdout(payload).bytes)
    }

    private func append(
        _ text: String,
        at start: Int64,
        expected: Int64,
        epoch: Int64,
        to session: SessionID
    ) -> OutputStore.Append {
        OutputStore.Append(session: session, epoch: epoch, expected: expected, chunk: chunk(text, start: start))
    }

    private func text(_ elements: [RecordedOutput.Element]) -> String {
        elements.map { element in
            switch element {
            case .gap(let missing): "<\(missing)>"
            case .piece(let piece): String(decoding: piece.payload, as: UTF8.self)
            }
        }.joined()
    }

    @Test func recordedOutputReadsBackFromAnyOffset() async throws {
        try await StoreFixture.with { fixture in
            let id = try await fixture.insertRunning().id
            let epoch = try await fixture.outputs.beginEpoch(id).epoch
            #expect(
                try await fixture.outputs.append([
                    append("hello ", at: 0, expected: 0, epoch: epoch, to: id),
                    append("world", at: 6, expected: 6, epoch: epoch, to: id),
                ]) == [true, true]
            )
            for offset in 0...11 {
                var recording = RecordedOutput(id, from: Int64(offset), outputs: fixture.outputs)
                #expect(text(try await recording.next()) == String("hello world".dropFirst(offset)))
            }
        }
    }

    @Test func aReplacedRecorderWritesNothing() async throws {
        try await StoreFixture.with { fixture in
            let id = try await fixture.insertRunning().id
            let stale = try await fixture.outputs.beginEpoch(id).epoch
            let current = try await fixture.outputs.beginEpoch(id)
            #expect(try await fixture.outputs.append([append("old", at: 0, expected: 0, epoch: stale, to: id)]) == [false])
            #expect(try await fixture.outputs.append([append("new", at: 0, expected: 0, epoch: current.epoch, to: id)]) == [true])
            var recording = RecordedOutput(id, from: 0, outputs: fixture.outputs)
            #expect(text(try await recording.next()) == "new")
        }
    }

    @Test func aChunkHandedInTwiceStandsOnce() async throws {
        try await StoreFixture.with { fixture in
            let id = try await fixture.insertRunning().id
            let epoch = try await fixture.outputs.beginEpoch(id).epoch
            let same = append("abc", at: 0, expected: 0, epoch: epoch, to: id)
            #expect(try await fixture.outputs.append([same]) == [true])
            #expect(try await fixture.outputs.append([same]) == [false])
            #expect(try await fixture.outputs.keptBytes(id) == 3)
        }
    }

    @Test func holesAreCounted() async throws {
        try await StoreFixture.with { fixture in
            let id = try await fixture.insertRunning().id
            let epoch = try await fixture.outputs.beginEpoch(id).epoch
            _ = try await fixture.outputs.append([append("abc", at: 0, expected: 0, epoch: epoch, to: id)])
            _ = try await fixture.outputs.append([append("xyz", at: 10, expected: 3, epoch: epoch, to: id)])
            var recording = RecordedOutput(id, from: 1, outputs: fixture.outputs)
            #expect(text(try await recording.next()) == "bc<7>xyz")
            #expect(recording.skip(to: 15) == 2)
            #expect(recording.skip(to: 15) == nil)
        }
    }

    @Test func trimmingKeepsHeadAndWindow() async throws {
        try await StoreFixture.with { fixture in
            let id = try await fixture.insertRunning().id
            let epoch = try await fixture.outputs.beginEpoch(id).epoch
            for start in stride(from: Int64(0), to: 50, by: 10) {
                _ = try await fixture.outputs.append([append("0123456789", at: start, expected: start, epoch: epoch, to: id)])
            }
            try await fixture.outputs.trimTail(id, keepingFrom: 35, headBytes: 10)
            var recording = RecordedOutput(id, from: 0, outputs: fixture.outputs)
            #expect(text(try await recording.next()) == "0123456789<20>01234567890123456789")
        }
    }

    @Test func partitionsAreMadeAndOnesInUseAreKept() async throws {
        try await StoreFixture.with { fixture in
            try await fixture.outputs.maintainPartitions(retentionDays: 7)
            try await fixture.outputs.maintainPartitions(retentionDays: 7)
            let count = try await fixture.pool.queryOne(
                "SELECT count(*) AS n FROM pg_inherits WHERE inhparent = 'output_chunks'::regclass"
            ).decode(Int.self, "n")
            #expect(count == 3)
            let id = try await fixture.insertRunning().id
            for day in ["2020-01-01", "2020-01-02"] {
                let name = day.split(separator: "-").joined()
                _ = try await fixture.pool.execute(
                    "CREATE TABLE output_chunks_\(raw: name) PARTITION OF output_chunks FOR VALUES FROM ('\(raw: day)') TO ('\(raw: day)'::date + 1)"
                )
            }
            _ = try await fixture.pool.execute(
                "INSERT INTO output_chunks VALUES ('2020-01-02', \(id.description), 0, 1, now(), '\\x00')"
            )
            try await fixture.outputs.maintainPartitions(retentionDays: 7)
            let left = try await fixture.pool.query(
                "SELECT relname::text AS name FROM pg_class WHERE relname ~ '^output_chunks_2020'"
            ).map { try $0.decode(String.self, "name") }.filter { !$0.contains("pkey") }
            #expect(left == ["output_chunks_20200102"])
        }
    }

    @Test func theWriterCommitsChunksOfManySessions() async throws {
        try await StoreFixture.with { fixture in
            let writer = OutputWriter(store: fixture.outputs, interval: .milliseconds(1), log: TestLog.logger)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await writer.run() }
                var sessions: [(SessionID, Int64)] = []
                for _ in 0..<10 {
                    let id = try await fixture.insertRunning().id
                    sessions.append((id, try await fixture.outputs.beginEpoch(id).epoch))
                }
                try await withThrowingTaskGroup(of: Bool.self) { writers in
                    for (id, epoch) in sessions {
                        writers.addTask {
                            var all = true
                            for start in stride(from: Int64(0), to: 50, by: 5) {
                                all = try await writer.append(append("12345", at: start, expected: start, epoch: epoch, to: id)) && all
                            }
                            return all
                        }
                    }
                    for try await all in writers { #expect(all) }
                }
                for (id, _) in sessions { #expect(try await fixture.outputs.keptBytes(id) == 50) }
                group.cancelAll()
            }
        }
    }
}
