import Synchronization

/// A number that threads and tasks share.
final class Counter: Sendable {
    private let number = Atomic<Int>(0)

    var value: Int {
        get { number.load(ordering: .sequentiallyConsistent) }
        set { number.store(newValue, ordering: .sequentiallyConsistent) }
    }

    /// Returns once the number is above zero and has not changed for 100 ms.
    func settled() async throws -> Int {
        var last = 0
        while true {
            try await Task.sleep(for: .milliseconds(100))
            let now = value
            if now == last, now > 0 { return now }
            last = now
        }
    }
}
