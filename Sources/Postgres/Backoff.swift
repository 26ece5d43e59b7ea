/// How long to wait before the next attempt: doubling from `first` to `longest`, spread over the upper half of each step.
struct Backoff: Hashable, Sendable {
    var first: Duration = .milliseconds(100)
    var longest: Duration = .seconds(5)

    /// `failures` counts from 1; `jitter` is a random number from 0 to 1.
    func delay(failures: Int, jitter: Double) -> Duration {
        var step = self.first
        for _ in 1..<max(1, failures) {
            if step >= self.longest { break }
            step *= 2
        }
        return min(step, self.longest) * (0.5 + 0.5 * jitter)
    }
}
