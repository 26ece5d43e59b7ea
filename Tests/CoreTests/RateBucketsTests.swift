import ExecboxModel
import Testing

@testable import ExecboxCore

/// Leases and refusals, as values.
@Suite struct RateBucketsTests {
    private static let start = ContinuousClock.now
    private static func limit(_ subject: String = "a", _ capacity: Int = 100, window: Duration = .seconds(1)) -> RateLimit {
        RateLimit(subject: subject, name: "requests_per_second", owner: "account", capacity: capacity, window: window)
    }

    private static func grant(_ subject: String, _ granted: Int, left: Double) -> RateBuckets.Grant {
        .init(subject: subject, granted: granted, tokens: left)
    }

    @Test(arguments: [
        (1, Duration.seconds(1), 1), (10, .seconds(1), 1), (500, .seconds(1), 50), (5, .seconds(3600), 1), (1005, .seconds(1), 101),
    ])
    func aLeaseIsATenthOfASecondsWorth(capacity: Int, window: Duration, lease: Int) {
        #expect(Self.limit("a", capacity, window: window).lease == lease)
    }

    @Test func aLeaseIsUsedUpBeforeTheNextIsAskedFor() {
        var buckets = RateBuckets()
        let limit = Self.limit()
        #expect(buckets.take([limit], at: Self.start) == .lease([limit]))
        #expect(buckets.take([limit], at: Self.start) == .wait(subject: "a"))
        buckets.leased([Self.grant("a", 10, left: 90)], of: [limit], at: Self.start)
        for left in (90..<100).reversed() {
            #expect(buckets.take([limit], at: Self.start) == .admitted(RateStatus(limit: 100, remaining: left, resetSeconds: 1)))
        }
        #expect(buckets.take([limit], at: Self.start) == .lease([limit]))
    }

    @Test func anEmptyBucketIsNotAskedForAgainUntilItHoldsAToken() {
        var buckets = RateBuckets()
        let limit = Self.limit("a", 2)
        _ = buckets.take([limit], at: Self.start)
        buckets.leased([Self.grant("a", 0, left: 0.5)], of: [limit], at: Self.start)
        let refused = buckets.take([limit], at: Self.start + .milliseconds(100))
        #expect(
            refused == .refused(limit, retryAfter: .milliseconds(150), RateStatus(limit: 2, remaining: 0, resetSeconds: 1)))
        #expect(buckets.take([limit], at: Self.start + .milliseconds(250)) == .lease([limit]))
    }

    @Test func aSlowBucketStaysEmptyLongerThanALeaseLasts() {
        var buckets = RateBuckets()
        let limit = Self.limit("a", 1, window: .seconds(3600))
        _ = buckets.take([limit], at: Self.start)
        buckets.leased([Self.grant("a", 0, left: 0)], of: [limit], at: Self.start)
        guard case .refused(_, let retryAfter, _) = buckets.take([limit], at: Self.start + .seconds(600)) else {
            Issue.record("not refused")
            return
        }
        #expect(retryAfter == .seconds(3000))
        #expect(limit.exceeded(retryAfter: retryAfter).retryAfter == 3000)
    }

    @Test func whereOneLimitRefusesNoOtherIsCharged() {
        var buckets = RateBuckets()
        let (key, account) = (Self.limit("key"), Self.limit("account"))
        #expect(buckets.take([key, account], at: Self.start) == .lease([key, account]))
        buckets.leased([Self.grant("key", 1, left: 0), Self.grant("account", 0, left: 0)], of: [key, account], at: Self.start)
        guard case .refused(let limit, _, _) = buckets.take([key, account], at: Self.start) else {
            Issue.record("not refused")
            return
        }
        #expect(limit == account)
        // The key's token is still there.
        #expect(buckets.take([key], at: Self.start) == .admitted(RateStatus(limit: 100, remaining: 0, resetSeconds: 1)))
    }

    @Test func aLeaseNobodyUsesIsForgotten() {
        var buckets = RateBuckets()
        let limit = Self.limit()
        _ = buckets.take([limit], at: Self.start)
        buckets.leased([Self.grant("a", 10, left: 90)], of: [limit], at: Self.start)
        #expect(buckets.take([limit], at: Self.start + .seconds(1)) == .lease([limit]))
    }

    @Test func afterAFailureSomebodyElseAsks() {
        var buckets = RateBuckets()
        let limit = Self.limit()
        _ = buckets.take([limit], at: Self.start)
        buckets.leaseFailed([limit])
        #expect(buckets.take([limit], at: Self.start) == .lease([limit]))
        #expect(buckets.take([Self.limit("b")], at: Self.start) == .lease([Self.limit("b")]))
    }

    @Test func theHeadersTellOfTheLimitNearestToItsEnd() {
        var buckets = RateBuckets()
        let (key, account) = (Self.limit("key", 5), Self.limit("account", 1000))
        _ = buckets.take([key, account], at: Self.start)
        buckets.leased([Self.grant("key", 1, left: 2), Self.grant("account", 100, left: 900)], of: [key, account], at: Self.start)
        #expect(buckets.take([key, account], at: Self.start) == .admitted(RateStatus(limit: 5, remaining: 2, resetSeconds: 1)))
    }
}
