import CLibPQ
import Glibc
import Synchronization

/// Wakes a connection's thread out of `poll(2)`, and says why.
///
/// The descriptor only ends the sleep; the reasons are kept apart, so that "look at your channels" is never taken for "cancel your query".
final class WakeSignal: Sendable {
    struct Reasons: OptionSet {
        let rawValue: UInt8
        static let cancel = Reasons(rawValue: 1)
        static let interrupt = Reasons(rawValue: 2)
    }

    let descriptor: Int32
    private let pending = Atomic<UInt8>(0)

    init() throws(PostgresError) {
        self.descriptor = execbox_eventfd()
        guard self.descriptor >= 0 else { throw PostgresError(.unavailable, "eventfd: \(systemMessage(errno))") }
    }

    deinit {
        close(self.descriptor)
    }

    /// Callable from any thread, any number of times.
    func signal(_ reason: Reasons) {
        self.pending.bitwiseOr(reason.rawValue, ordering: .acquiringAndReleasing)
        var one: UInt64 = 1
        _ = write(self.descriptor, &one, 8)
    }

    /// Whether `reason` was signalled since it was last taken; takes it.
    func take(_ reason: Reasons) -> Bool {
        self.pending.bitwiseAnd(~reason.rawValue, ordering: .acquiringAndReleasing).oldValue & reason.rawValue != 0
    }

    /// Makes the descriptor quiet again; the reasons stay.
    func quieten() {
        var count: UInt64 = 0
        _ = read(self.descriptor, &count, 8)
    }
}
