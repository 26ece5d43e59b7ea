import Glibc
import Synchronization

/// Opens once; threads block on it, tasks suspend.
final class Gate: Sendable {
    private let isOpen = Atomic<Bool>(false)

    func open() { isOpen.store(true, ordering: .releasing) }

    func wait() {
        while !isOpen.load(ordering: .acquiring) { usleep(1000) }
    }

    func opened() async {
        while !isOpen.load(ordering: .acquiring) { try? await Task.sleep(for: .milliseconds(1)) }
    }
}
