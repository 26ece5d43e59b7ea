/// How a stream comes back after a lost connection or a server that went away.
public struct ResumePolicy: Sendable {
    /// Before the first try; doubled for each further one, with some chance in it.
    public var initialDelay: Duration
    public var maxDelay: Duration
    /// Counted from the loss; nil tries for ever, zero never.
    public var giveUpAfter: Duration?

    public init(initialDelay: Duration = .milliseconds(100), maxDelay: Duration = .seconds(5), giveUpAfter: Duration? = .seconds(60)) {
        self.initialDelay = initialDelay
        self.maxDelay = maxDelay
        self.giveUpAfter = giveUpAfter
    }

    public static let never = Self(giveUpAfter: .zero)

    func delay(before attempt: Int) -> Duration {
        let doubled = initialDelay * (1 << min(attempt, 16))
        return min(doubled, maxDelay) * Double.random(in: 0.75...1.25)
    }
}
