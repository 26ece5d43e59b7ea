import CAgent

/// The newest output of one process: a ring of bytes, numbered from 0 on, and which of its two streams each run of them came from.
///
/// Holds what was written last, and drops the oldest for the newest. It never decides that something may be dropped: `room` says how much
/// can be taken in without dropping what somebody still waits for. Memory is untouched, and costs nothing, until bytes come.
package struct OutputBuffer: ~Copyable {
    package enum Stream: UInt8, Sendable {
        case stdout = 0x02
        case stderr = 0x03
    }

    /// Neighbouring bytes of one stream.
    package struct Run: Equatable, Sendable {
        package let stream: Stream
        /// The offset behind its last byte.
        package let end: UInt64
    }

    private static let pageSize = 4096
    /// A run costs 16 bytes. Bounded, because a process that changes streams at every byte would make many.
    private static let bytesPerRun = 128

    package let capacity: Int
    /// So many first bytes wait for `acknowledge`.
    package let headBytes: UInt64
    /// The oldest byte held.
    package private(set) var start: UInt64 = 0
    /// Where the next byte will stand.
    package private(set) var end: UInt64 = 0
    package private(set) var acknowledged: UInt64 = 0
    package private(set) var stdoutBytes: UInt64 = 0
    package private(set) var stderrBytes: UInt64 = 0
    private let memory: UnsafeMutableRawPointer
    private var runs: [Run] = []
    private var firstRun = 0
    private let maxRuns: Int

    /// - Returns: nil if there is no memory.
    package init?(capacity: Int, headBytes: UInt64 = 0) {
        let pages = (max(capacity, 1) + Self.pageSize - 1) / Self.pageSize
        guard let memory = execbox_map(pages * Self.pageSize) else { return nil }
        self.memory = memory
        self.capacity = pages * Self.pageSize
        self.headBytes = headBytes
        self.maxRuns = max(64, self.capacity / Self.bytesPerRun)
    }

    deinit { execbox_unmap(memory, capacity) }

    /// Memory that bytes were ever written to.
    package var touchedBytes: Int { Int(min(end, UInt64(capacity))) }

    /// How many bytes can be appended without dropping an unacknowledged one of the head, or one at or behind `lowestReader`.
    package func room(lowestReader: UInt64?) -> Int {
        var floor = min(lowestReader ?? end, end)
        if acknowledged < min(headBytes, end) { floor = min(floor, acknowledged) }
        floor = max(floor, start)
        if runCount >= maxRuns, floor < runs[firstRun].end { return 0 }
        return capacity - Int(end - floor)
    }

    /// What `start` will be once `reserve(count)` was called: a reader before it loses bytes.
    package func start(afterReserving count: Int) -> UInt64 {
        var next = start
        let needed = end + UInt64(min(count, capacity))
        if needed > UInt64(capacity) { next = max(next, needed - UInt64(capacity)) }
        if runCount >= maxRuns { next = max(next, runs[firstRun].end) }
        return next
    }

    /// Drops the oldest bytes for `count` new ones, at most the capacity, and returns where these go: two pieces, the second for the rest.
    package mutating func reserve(_ count: Int) -> (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer) {
        let count = min(count, capacity)
        drop(before: start(afterReserving: count))
        let place = Int(end % UInt64(capacity))
        let first = min(count, capacity - place)
        return (
            UnsafeMutableRawBufferPointer(start: memory + place, count: first),
            UnsafeMutableRawBufferPointer(start: memory, count: count - first)
        )
    }

    /// The first `count` reserved bytes have been written.
    package mutating func commit(_ count: Int, from stream: Stream) {
        guard count > 0 else { return }
        end += UInt64(count)
        switch stream {
        case .stdout: stdoutBytes += UInt64(count)
        case .stderr: stderrBytes += UInt64(count)
        }
        if runCount > 0, runs[runs.count - 1].stream == stream {
            runs[runs.count - 1] = Run(stream: stream, end: end)
        } else {
            runs.append(Run(stream: stream, end: end))
        }
    }

    /// Copies bytes in; those that exceed the capacity are not taken.
    package mutating func append(_ bytes: UnsafeRawBufferPointer, from stream: Stream) {
        let (first, second) = reserve(bytes.count)
        first.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<first.count]))
        second.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[first.count..<(first.count + second.count)]))
        commit(first.count + second.count, from: stream)
    }

    /// Everything before `offset` is safe elsewhere. Going back, or beyond the end, means nothing.
    package mutating func acknowledge(_ offset: UInt64) {
        acknowledged = max(acknowledged, min(offset, end))
    }

    /// The run that holds the byte at `offset`; nil if none is held there.
    package func run(at offset: UInt64) -> Run? {
        guard offset >= start, offset < end else { return nil }
        var low = firstRun
        var high = runs.count - 1
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].end > offset { high = middle } else { low = middle + 1 }
        }
        return runs[low]
    }

    /// Where `count` held bytes from `offset` on lie. Valid until the next `reserve`.
    package func pieces(from offset: UInt64, count: Int) -> (UnsafeRawBufferPointer, UnsafeRawBufferPointer) {
        let place = Int(offset % UInt64(capacity))
        let first = min(count, capacity - place)
        return (
            UnsafeRawBufferPointer(start: memory + place, count: first),
            UnsafeRawBufferPointer(start: memory, count: count - first)
        )
    }

    /// A copy of held bytes.
    package func bytes(from offset: UInt64, count: Int) -> [UInt8] {
        let (first, second) = pieces(from: offset, count: count)
        return Array(first) + Array(second)
    }

    private var runCount: Int { runs.count - firstRun }

    private mutating func drop(before offset: UInt64) {
        guard offset > start else { return }
        start = offset
        while firstRun < runs.count, runs[firstRun].end <= start { firstRun += 1 }
        if firstRun == runs.count {
            runs.removeAll(keepingCapacity: true)
            firstRun = 0
        } else if firstRun > 256, firstRun > runs.count / 2 {
            runs.removeSubrange(..<firstRun)
            firstRun = 0
        }
    }
}
