import NIOCore

extension TimeAmount {
    /// The same time, between none and a year: longer ones would overflow a deadline.
    init(bounded duration: Duration) {
        let year: Int64 = 365 * 24 * 3600
        let seconds = min(max(duration.components.seconds, 0), year)
        let rest = duration > .zero && seconds < year ? duration.components.attoseconds / 1_000_000_000 : 0
        self = .nanoseconds(seconds * 1_000_000_000 + rest)
    }
}
