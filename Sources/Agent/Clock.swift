import CAgent

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// The monotonic clock, in nanoseconds.
enum Clock {
    static let millisecond: UInt64 = 1_000_000
    static let second: UInt64 = 1_000_000_000

    static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * second + UInt64(time.tv_nsec)
    }
}
