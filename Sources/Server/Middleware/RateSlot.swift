import ExecboxCore
import Synchronization

/// Where a request stands with its limit, for the header fields of whatever answers it. Child contexts carry the same object on.
package final class RateSlot: Sendable {
    private let state = Mutex<RateStatus?>(nil)

    package init() {}

    var status: RateStatus? {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}
