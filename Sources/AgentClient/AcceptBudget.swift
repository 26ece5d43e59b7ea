import NIOCore

/// How many more connections may be accepted: so many a second, and as many at once after a pause.
struct AcceptBudget: Sendable {
    private let perSecond: Int
    private let interval: TimeAmount
    private var left: Int
    private var earnedUntil: NIODeadline

    init(perSecond: Int, at now: NIODeadline) {
        self.perSecond = max(1, perSecond)
        interval = .nanoseconds(1_000_000_000 / Int64(self.perSecond))
        left = self.perSecond
        earnedUntil = now
    }

    /// One more was accepted. The budget may go below nothing: one read accepts several.
    mutating func spend() {
        left -= 1
    }

    /// - Returns: how long to wait before the next ones may be accepted, nil for not at all.
    mutating func delay(at now: NIODeadline) -> TimeAmount? {
        let earned = (now - earnedUntil).nanoseconds / interval.nanoseconds
        if earned > 0 {
            earnedUntil = earnedUntil + interval * earned
            // Compared first: after a long pause the sum could overflow.
            left = earned >= Int64(perSecond - left) ? perSecond : left + Int(earned)
        }
        return left > 0 ? nil : interval * Int64(1 - left)
    }
}
