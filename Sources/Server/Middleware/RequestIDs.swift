import ExecboxModel
import Synchronization

/// Names for requests. They have to be different, not hard to guess: the system's generator, a call into the kernel each time, is asked
/// once.
final class RequestIDs: Sendable {
    private let state: Atomic<UInt64>

    init() {
        var generator = SystemRandomNumberGenerator()
        state = Atomic(generator.next())
    }

    func next() -> String {
        var numbers = Numbers(ids: self)
        return "req_" + ULID(unixMilliseconds: UInt64(clamping: Timestamp.now.unixMicroseconds / 1000), random: &numbers).text
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    private struct Numbers: RandomNumberGenerator {
        let ids: RequestIDs

        func next() -> UInt64 {
            var mixed = ids.state.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }
}
