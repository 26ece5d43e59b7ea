import CAgent

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// epoll, level-triggered: whoever does not want to hear of a descriptor has to take it out, since hang-ups are always reported.
final class Poller {
    static let readable = EPOLLIN.rawValue
    static let writable = EPOLLOUT.rawValue
    /// Reported whether asked for or not.
    static let broken = EPOLLHUP.rawValue | EPOLLERR.rawValue

    private struct Watch {
        var interest: UInt32
        let generation: UInt32
        let handler: (UInt32) -> Void
    }

    private static let batch = 64

    private let descriptor: Int32
    private var watches: [Int32: Watch] = [:]
    private var generation: UInt32 = 0

    init?() {
        descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard descriptor >= 0 else { return nil }
    }

    deinit { close(descriptor) }

    /// Hears of `descriptor` from now on; false if the kernel refuses.
    func add(_ descriptor: Int32, _ interest: UInt32, handler: @escaping (UInt32) -> Void) -> Bool {
        generation &+= 1
        var event = epoll_event(events: interest, data: epoll_data(u64: token(descriptor, generation)))
        guard epoll_ctl(self.descriptor, EPOLL_CTL_ADD, descriptor, &event) == 0 else { return false }
        watches[descriptor] = Watch(interest: interest, generation: generation, handler: handler)
        return true
    }

    func change(_ descriptor: Int32, _ interest: UInt32) {
        guard let watch = watches[descriptor], watch.interest != interest else { return }
        var event = epoll_event(events: interest, data: epoll_data(u64: token(descriptor, watch.generation)))
        epoll_ctl(self.descriptor, EPOLL_CTL_MOD, descriptor, &event)
        watches[descriptor]?.interest = interest
    }

    /// Has to be called before `descriptor` is closed.
    func remove(_ descriptor: Int32) {
        guard watches.removeValue(forKey: descriptor) != nil else { return }
        var event = epoll_event()
        epoll_ctl(self.descriptor, EPOLL_CTL_DEL, descriptor, &event)
    }

    func contains(_ descriptor: Int32) -> Bool { watches[descriptor] != nil }

    /// Waits until something happens or `milliseconds` are over (-1: without end), and lets the handlers know.
    func wait(milliseconds: Int32) {
        withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: Self.batch) { events in
            let count = epoll_wait(descriptor, events.baseAddress, Int32(Self.batch), milliseconds)
            guard count > 0 else { return }
            for event in events[..<Int(count)] {
                let token = event.data.u64
                let ready = Int32(truncatingIfNeeded: token & 0xFFFF_FFFF)
                // An earlier handler of this batch may have closed it, and the number may be another's by now.
                guard let watch = watches[ready], watch.generation == UInt32(truncatingIfNeeded: token >> 32) else { continue }
                watch.handler(event.events)
            }
        }
    }

    private func token(_ descriptor: Int32, _ generation: UInt32) -> UInt64 {
        UInt64(generation) << 32 | UInt64(UInt32(bitPattern: descriptor))
    }
}
