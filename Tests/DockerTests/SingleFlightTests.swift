import ExecboxTestSupport
import Synchronization
import Testing

@testable import ExecboxDocker

@Suite struct SingleFlightTests {
    private final class Count: Sendable {
        private let value = Mutex(0)

        func add(_ difference: Int) -> Int {
            value.withLock { value in
                value += difference
                return value
            }
        }
    }

    @Test func oneWorksAndTheOthersWaitForItsEnd() async throws {
        let flights = SingleFlight()
        let working = Count()
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    let result: Void? = try await flights.run("a") {
                        #expect(working.add(1) == 1)
                        try await Task.sleep(for: .milliseconds(5))
                        _ = working.add(-1)
                    }
                    return result != nil
                }
            }
            let worked = try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            #expect(worked >= 1)
        }
    }

    @Test func whoWaitsCanBeCancelledWithoutWaitingOn() async throws {
        let flights = SingleFlight()
        let (ended, end) = AsyncStream.makeStream(of: Void.self)
        let (begun, begin) = AsyncStream.makeStream(of: Void.self)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                _ = try await flights.run("a") {
                    begin.finish()
                    for await _ in ended {}
                }
            }
            for await _ in begun {}
            await withTaskGroup(of: Bool.self) { waiters in
                for _ in 0..<8 {
                    waiters.addTask {
                        do {
                            _ = try await flights.run("a") {}
                            return false
                        } catch {
                            return error is CancellationError
                        }
                    }
                }
                waiters.cancelAll()
                for await wasCancelled in waiters { #expect(wasCancelled) }
            }
            end.finish()
            try await group.waitForAll()
        }
    }
}
