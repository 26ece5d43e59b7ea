import ExecboxModel
import ExecboxPostgres
import ExecboxTestSupport
import Synchronization
import Testing

@testable import ExecboxCore

/// Buckets shared by replicas, on a real database.
@Suite struct RateLimiterTests {
    private static func limit(_ capacity: Int, window: Duration = .seconds(1), subject: String = "account:x") -> RateLimit {
        RateLimit(subject: subject, name: "requests_per_second", owner: "account", capacity: capacity, window: window)
    }

    private static func limiter(_ fixture: StoreFixture) -> RateLimiter {
        RateLimiter(store: RateStore(database: fixture.pool))
    }

    private static func isAdmitted(_ limiter: RateLimiter, _ limits: [RateLimit]) async throws -> Bool {
        if case .admitted = try await limiter.admit(limits) { true } else { false }
    }

    @Test func exactlyAFullBucketIsLetThroughAtOnceOverTwoReplicas() async throws {
        try await StoreFixture.with { fixture in
            let limit = Self.limit(200, window: .seconds(86_400))
            let replicas = [Self.limiter(fixture), Self.limiter(fixture)]
            let admitted = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        var count = 0
                        for _ in 0..<50 where try await Self.isAdmitted(replicas[number % 2], [limit]) { count += 1 }
                        return count
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(admitted == 200)
            // A new process finds the bucket as it is.
            #expect(try await !Self.isAdmitted(Self.limiter(fixture), [limit]))
        }
    }

    @Test func twoHammeredReplicasLetNoMoreThroughThanTheRate() async throws {
        try await StoreFixture.with { fixture in
            let limit = Self.limit(300)
            let replicas = [Self.limiter(fixture), Self.limiter(fixture)]
            let start = ContinuousClock.now
            let end = start + .seconds(3)
            let admitted = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<8 {
                    group.addTask {
                        var count = 0
                        while ContinuousClock.now < end {
                            if try await Self.isAdmitted(replicas[number % 2], [limit]) { count += 1 } else { await Task.yield() }
                        }
                        return count
                    }
                }
                return try await group.reduce(0, +)
            }
            let seconds = start.duration(to: .now).inSeconds
            let allowed = 300 + 300 * seconds
            #expect(Double(admitted) <= allowed * 1.05, "\(admitted) of \(allowed)")
            // More than the burst: it is refilled while it is being emptied.
            #expect(admitted > 300)
        }
    }

    @Test func aBusyKeyIsNotAStatementARequest() async throws {
        try await StoreFixture.with { fixture in
            let limiter = Self.limiter(fixture)
            let limit = Self.limit(100_000)
            for _ in 0..<5000 { #expect(try await Self.isAdmitted(limiter, [limit])) }
            let row = try await fixture.pool.queryOne("SELECT tokens FROM rate_buckets")
            // Leases of 10000: half of one was used, or a few if the machine was slow.
            #expect(try row.decode(Double.self, "tokens") >= 50_000)
        }
    }

    @Test func severalLimitsAreLeasedTogetherAndEachIsKept() async throws {
        try await StoreFixture.with { fixture in
            let limiter = Self.limiter(fixture)
            let key = Self.limit(3, window: .seconds(86_400), subject: "key:k")
            let account = Self.limit(10, window: .seconds(86_400), subject: "account:a")
            for _ in 0..<3 { #expect(try await Self.isAdmitted(limiter, [key, account])) }
            guard case .refused(let error, let status) = try await limiter.admit([key, account]) else {
                Issue.record("not refused")
                return
            }
            #expect(error.code == .rateLimited && error.details["value"] == .number(3) && status.remaining == 0 && status.limit == 3)
            for _ in 0..<7 { #expect(try await Self.isAdmitted(limiter, [account])) }
            #expect(try await !Self.isAdmitted(limiter, [account]))
        }
    }

    @Test func aChangedLimitHoldsFromTheNextLeaseOn() async throws {
        try await StoreFixture.with { fixture in
            _ = try await Self.limiter(fixture).admit([Self.limit(1000, window: .seconds(86_400))])
            let smaller = Self.limit(2, window: .seconds(86_400))
            let limiter = Self.limiter(fixture)
            for _ in 0..<2 { #expect(try await Self.isAdmitted(limiter, [smaller])) }
            #expect(try await !Self.isAdmitted(limiter, [smaller]))
        }
    }

    @Test func bucketsThatAreFullAgainAreForgotten() async throws {
        try await StoreFixture.with { fixture in
            let limiter = Self.limiter(fixture)
            _ = try await limiter.admit([Self.limit(10, subject: "old")])
            _ = try await limiter.admit([Self.limit(10, window: .seconds(86_400), subject: "slow")])
            _ = try await fixture.pool.execute("UPDATE rate_buckets SET refilled_at = now() - interval '1 h'")
            try await RateStore(database: fixture.pool).sweep()
            let left = try await fixture.pool.query("SELECT subject FROM rate_buckets")
            #expect(try left.map { try $0.decode(String.self, "subject") } == ["slow"])
        }
    }
}
