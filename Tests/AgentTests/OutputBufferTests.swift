import ExecboxTestRandom
import Testing

@testable import ExecboxAgent

/// A buffer cannot be copied, and so not stand in an expectation itself.
private final class BufferBox {
    private var buffer: OutputBuffer

    init(capacity: Int, headBytes: UInt64 = 0) throws {
        guard let buffer = OutputBuffer(capacity: capacity, headBytes: headBytes) else { throw TestAgent.Failure.unexpected("no memory") }
        self.buffer = buffer
    }

    var start: UInt64 { buffer.start }
    var end: UInt64 { buffer.end }
    var acknowledged: UInt64 { buffer.acknowledged }
    var stdoutBytes: UInt64 { buffer.stdoutBytes }
    var stderrBytes: UInt64 { buffer.stderrBytes }
    func append(_ data: [UInt8], _ stream: OutputBuffer.Stream) { data.withUnsafeBytes { buffer.append($0, from: stream) } }
    func acknowledge(_ offset: UInt64) { buffer.acknowledge(offset) }
    func room(lowestReader: UInt64?) -> Int { buffer.room(lowestReader: lowestReader) }
    func start(afterReserving count: Int) -> UInt64 { buffer.start(afterReserving: count) }
    func run(at offset: UInt64) -> OutputBuffer.Run? { buffer.run(at: offset) }
    func bytes(from offset: UInt64, count: Int) -> [UInt8] { buffer.bytes(from: offset, count: count) }
    func reserve(_ count: Int) -> (Int, Int) {
        let (first, second) = buffer.reserve(count)
        return (first.count, second.count)
    }
    func commit(_ count: Int, from stream: OutputBuffer.Stream) { buffer.commit(count, from: stream) }
}

@Suite("An output buffer")
struct OutputBufferTests {
    private func bytes(_ range: Range<Int>) -> [UInt8] { range.map { UInt8(truncatingIfNeeded: $0) } }

    @Test("keeps the newest bytes and drops the oldest")
    func keepsNewest() throws {
        let buffer = try BufferBox(capacity: 4096)
        buffer.append(bytes(0..<4096), .stdout)
        buffer.append(bytes(4096..<5000), .stderr)
        #expect(buffer.start == 904)
        #expect(buffer.end == 5000)
        #expect(buffer.bytes(from: 904, count: 4096) == bytes(904..<5000))
        #expect(buffer.run(at: 904) == .init(stream: .stdout, end: 4096))
        #expect(buffer.run(at: 4096) == .init(stream: .stderr, end: 5000))
        #expect(buffer.run(at: 903) == nil)
        #expect(buffer.run(at: 5000) == nil)
        #expect(buffer.stdoutBytes == 4096)
        #expect(buffer.stderrBytes == 904)
    }

    @Test("merges neighbouring runs of one stream")
    func mergesRuns() throws {
        let buffer = try BufferBox(capacity: 4096)
        buffer.append([1], .stdout)
        buffer.append([2, 3], .stdout)
        buffer.append([], .stderr)
        buffer.append([4], .stdout)
        #expect(buffer.run(at: 0) == .init(stream: .stdout, end: 4))
    }

    @Test("has room for everything while nobody waits")
    func roomWithoutReaders() throws {
        let buffer = try BufferBox(capacity: 4096)
        buffer.append(bytes(0..<4096), .stdout)
        #expect(buffer.room(lowestReader: nil) == 4096)
        #expect(buffer.room(lowestReader: 4096) == 4096)
        #expect(buffer.room(lowestReader: 1000) == 1000)
        #expect(buffer.room(lowestReader: 0) == 0)
    }

    @Test("has no room that would drop an unacknowledged byte of the head")
    func roomWithHead() throws {
        let buffer = try BufferBox(capacity: 4096, headBytes: 6000)
        buffer.append(bytes(0..<4096), .stdout)
        #expect(buffer.room(lowestReader: nil) == 0)
        buffer.acknowledge(1000)
        #expect(buffer.room(lowestReader: nil) == 1000)
        buffer.acknowledge(500)
        #expect(buffer.room(lowestReader: nil) == 1000, "an acknowledgement cannot be taken back")
        buffer.acknowledge(1 << 60)
        #expect(buffer.acknowledged == 4096, "what was not written cannot be acknowledged")
        buffer.append(bytes(4096..<6500), .stdout)
        #expect(buffer.room(lowestReader: nil) == 4096 - 2404)
        buffer.acknowledge(6000)
        #expect(buffer.room(lowestReader: nil) == 4096, "behind the head nobody waits")
    }

    @Test("drops nothing for what was reserved and not written until it is needed")
    func reserves() throws {
        let buffer = try BufferBox(capacity: 4096)
        buffer.append(bytes(0..<4000), .stdout)
        #expect(buffer.start(afterReserving: 96) == 0)
        #expect(buffer.start(afterReserving: 100) == 4)
        #expect(buffer.start(afterReserving: 1 << 40) == 4000)
        let (first, second) = buffer.reserve(100)
        #expect(first == 96)
        #expect(second == 4)
        buffer.commit(0, from: .stdout)
        #expect(buffer.end == 4000)
        #expect(buffer.start == 4)
    }

    @Test("bounds the number of runs, whatever a process does")
    func boundsRuns() throws {
        let buffer = try BufferBox(capacity: 64 * 1024)
        for index in 0..<20_000 { buffer.append([UInt8(truncatingIfNeeded: index)], index % 2 == 0 ? .stdout : .stderr) }
        #expect(buffer.end - buffer.start <= 513)
        #expect(buffer.room(lowestReader: buffer.start) == 0)
        #expect(buffer.room(lowestReader: buffer.end) == 64 * 1024)
    }

    @Test("holds what a simple model of it holds, over random appends and acknowledgements")
    func matchesModel() throws {
        var random = SeededGenerator(seed: 7)
        let buffer = try BufferBox(capacity: 8192, headBytes: 20_000)
        var model: [(byte: UInt8, stream: OutputBuffer.Stream)] = []
        for _ in 0..<500 {
            let stream: OutputBuffer.Stream = Bool.random(using: &random) ? .stdout : .stderr
            let room = buffer.room(lowestReader: nil)
            let count = min(Int.random(in: 0...3000, using: &random), room)
            let data = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            let unacknowledged = buffer.acknowledged
            buffer.append(data, stream)
            model += data.map { ($0, stream) }
            #expect(buffer.end == UInt64(model.count))
            #expect(buffer.start <= max(unacknowledged, UInt64(max(0, model.count - 8192))))
            if Bool.random(using: &random) { buffer.acknowledge(UInt64.random(in: 0...buffer.end, using: &random)) }
            var offset = buffer.start
            while let run = buffer.run(at: offset) {
                let held = buffer.bytes(from: offset, count: Int(run.end - offset))
                #expect(held == model[Int(offset)..<Int(run.end)].map(\.byte))
                #expect(model[Int(offset)..<Int(run.end)].allSatisfy { $0.stream == run.stream })
                offset = run.end
            }
            #expect(offset == buffer.end)
        }
    }
}
