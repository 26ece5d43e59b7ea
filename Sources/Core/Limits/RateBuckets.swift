/// What this replica has leased of the buckets: pure state, no input or output, no clock.
struct RateBuckets: Sendable {
    typealias Instant = ContinuousClock.Instant

    enum Decision: Equatable, Sendable {
        case admitted(RateStatus)
        case refused(RateLimit, retryAfter: Duration, RateStatus)
        /// Ask the database for these, then `leased` or `leaseFailed`, then again `take`.
        case lease([RateLimit])
        /// Somebody asks for this bucket already: `take` again once that has an answer.
        case wait(subject: String)
    }

    /// What the database said.
    struct Grant: Equatable, Sendable {
        var subject: String
        var granted: Int
        /// Left in the bucket.
        var tokens: Double
    }

    private struct Bucket {
        var tokens = 0
        /// As the database had them at `leasedAt`.
        var shared = 0.0
        var leasedAt: Instant
        /// Until then there is nothing to be had.
        var emptyUntil: Instant?
        var isAsked = false
    }

    /// A lease that nobody uses is forgotten, so that no replica saves up.
    static let leaseTime = Duration.seconds(1)
    static let maxBuckets = 100_000

    private var buckets: [String: Bucket] = [:]

    /// Takes one token of each bucket, or none of any.
    mutating func take(_ limits: [RateLimit], at now: Instant) -> Decision {
        for limit in limits { expire(limit.subject, at: now) }
        for limit in limits {
            guard let bucket = buckets[limit.subject], bucket.tokens == 0, let until = bucket.emptyUntil, until > now else { continue }
            return .refused(limit, retryAfter: now.duration(to: until), status(of: limit, at: now))
        }
        let missing = limits.filter { (buckets[$0.subject]?.tokens ?? 0) == 0 }
        if let asked = missing.first(where: { buckets[$0.subject]?.isAsked == true }) { return .wait(subject: asked.subject) }
        guard missing.isEmpty else {
            forgetSome(at: now)
            for limit in missing { buckets[limit.subject, default: Bucket(leasedAt: now)].isAsked = true }
            return .lease(missing)
        }
        for limit in limits { buckets[limit.subject]?.tokens -= 1 }
        let states = limits.map { status(of: $0, at: now) }
        return .admitted(states.min { $0.remaining < $1.remaining } ?? RateStatus(limit: 0, remaining: 0, resetSeconds: 0))
    }

    mutating func leased(_ grants: [Grant], of limits: [RateLimit], at now: Instant) {
        for limit in limits {
            guard let grant = grants.first(where: { $0.subject == limit.subject }) else {
                buckets[limit.subject]?.isAsked = false
                continue
            }
            var bucket = Bucket(leasedAt: now)
            bucket.tokens = grant.granted
            bucket.shared = grant.tokens
            if grant.granted == 0 { bucket.emptyUntil = now + .seconds(max(0, 1 - grant.tokens) / limit.rate) }
            buckets[limit.subject] = bucket
        }
    }

    mutating func leaseFailed(_ limits: [RateLimit]) {
        for limit in limits { buckets[limit.subject]?.isAsked = false }
    }

    func isAsked(_ subject: String) -> Bool { buckets[subject]?.isAsked ?? false }

    private mutating func expire(_ subject: String, at now: Instant) {
        guard let bucket = buckets[subject], !bucket.isAsked, bucket.leasedAt.duration(to: now) >= Self.leaseTime else { return }
        // A bucket that fills slowly may stay empty for longer.
        guard let until = bucket.emptyUntil, until > now else {
            buckets[subject] = nil
            return
        }
    }

    private func status(of limit: RateLimit, at now: Instant) -> RateStatus {
        guard let bucket = buckets[limit.subject] else { return RateStatus(limit, tokens: 0) }
        let refilled = bucket.leasedAt.duration(to: now).inSeconds * limit.rate
        return RateStatus(limit, tokens: Double(bucket.tokens) + bucket.shared + refilled)
    }

    private mutating func forgetSome(at now: Instant) {
        guard buckets.count >= Self.maxBuckets else { return }
        buckets = buckets.filter { $0.value.isAsked || $0.value.leasedAt.duration(to: now) < Self.leaseTime }
    }
}
