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

        /// A lease that nobody used is given up. A bucket that fills slowly may stay empty for longer.
        mutating func expire(at now: Instant) {
            guard !isAsked, leasedAt.duration(to: now) >= RateBuckets.leaseTime, emptyUntil.map({ $0 <= now }) ?? true else { return }
            self = Bucket(leasedAt: now)
        }

        func status(of limit: RateLimit, at now: Instant) -> RateStatus {
            let refilled = leasedAt.duration(to: now).inSeconds * limit.rate
            return RateStatus(limit, tokens: Double(tokens) + shared + refilled)
        }
    }

    /// A lease that nobody uses is forgotten, so that no replica saves up.
    static let leaseTime = Duration.seconds(1)
    static let maxBuckets = 100_000

    private var buckets: [String: Bucket] = [:]

    /// Takes one token of each bucket, or none of any.
    mutating func take(_ limits: [RateLimit], at now: Instant) -> Decision {
        // Looked up once: a subject's text takes longer to hash than all the rest.
        let places = limits.map { buckets.index(forKey: $0.subject) }
        for (limit, place) in zip(limits, places) {
            guard let place else { continue }
            buckets.values[place].expire(at: now)
            let bucket = buckets.values[place]
            guard bucket.tokens == 0, let until = bucket.emptyUntil, until > now else { continue }
            return .refused(limit, retryAfter: now.duration(to: until), bucket.status(of: limit, at: now))
        }
        var missing: [RateLimit] = []
        for (limit, place) in zip(limits, places) {
            let bucket = place.map { buckets.values[$0] }
            guard (bucket?.tokens ?? 0) == 0 else { continue }
            if bucket?.isAsked == true { return .wait(subject: limit.subject) }
            missing.append(limit)
        }
        guard missing.isEmpty else {
            forgetSome(at: now)
            for limit in missing { buckets[limit.subject, default: Bucket(leasedAt: now)].isAsked = true }
            return .lease(missing)
        }
        var least: RateStatus?
        for (limit, place) in zip(limits, places) {
            guard let place else { continue }
            buckets.values[place].tokens -= 1
            let status = buckets.values[place].status(of: limit, at: now)
            if status.remaining < least?.remaining ?? .max { least = status }
        }
        return .admitted(least ?? RateStatus(limit: 0, remaining: 0, resetSeconds: 0))
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

    private mutating func forgetSome(at now: Instant) {
        guard buckets.count >= Self.maxBuckets else { return }
        buckets = buckets.filter { $0.value.isAsked || $0.value.leasedAt.duration(to: now) < Self.leaseTime }
    }
}
