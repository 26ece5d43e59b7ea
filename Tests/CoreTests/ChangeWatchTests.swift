import ExecboxCore
import ExecboxModel
import Synchronization
import Testing

@Suite struct ChangeWatchTests {
    private let id = SessionID.make(unixMilliseconds: 1)

    @Test func aValueThatIsThereAlreadyIsReturnedAtOnce() async throws {
        #expect(try await ChangeWatch<SessionID>().wait(for: id) { 5 } == 5)
    }

    @Test func aChangeWakesTheWaiter() async throws {
        let watch = ChangeWatch<SessionID>()
        let reads = Counter()
        let id = id
        try await withThrowingTaskGroup(of: Int?.self) { group in
            group.addTask {
                // The interval is so long that only a wake-up can bring the second read in time.
                try await watch.wait(for: id, rereadEvery: .seconds(3600)) { reads.next() >= 2 ? 7 : nil }
            }
            group.addTask {
                while reads.value < 2 {
                    watch.changed(id)
                    await Task.yield()
                }
                return nil
            }
            var results: [Int] = []
            for try await result in group { if let result { results.append(result) } }
            #expect(results == [7])
        }
    }

    @Test func aResyncWakesEverybody() async throws {
        let watch = ChangeWatch<SessionID>()
        let reads = Counter()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                let id = SessionID.make(unixMilliseconds: UInt64(number))
                let own = Counter()
                group.addTask {
                    _ = try await watch.wait(for: id, rereadEvery: .seconds(3600)) {
                        _ = reads.next()
                        return own.next() >= 2 ? true : nil
                    }
                }
            }
            group.addTask {
                while reads.value < 40 {
                    watch.resync()
                    await Task.yield()
                }
            }
            try await group.waitForAll()
        }
        #expect(reads.value >= 40)
    }

    @Test func theDeadlineEndsTheWait() async throws {
        #expect(try await ChangeWatch<SessionID>().wait(for: id, until: .now + .milliseconds(5)) { Int?.none } == nil)
    }

    @Test func cancellingEndsTheWait() async throws {
        let watch = ChangeWatch<SessionID>()
        let id = id
        for _ in 0..<200 {
            let task = Task { try await watch.wait(for: id, rereadEvery: .seconds(3600)) { Int?.none } }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }

    private final class Counter: Sendable {
        private let count = Mutex(0)
        var value: Int { count.withLock { $0 } }
        func next() -> Int {
            count.withLock {
                $0 += 1
                return $0
            }
        }
    }
}
