import ExecboxModel
import ExecboxPostgres
import Testing

@testable import ExecboxCore

/// The rules, by values alone.
@Suite struct AdmissionTests {
    private static func admission(
        tier: (daily: Int?, concurrent: Int?) = (nil, nil), account: (daily: Int?, concurrent: Int?) = (nil, nil),
        key: (daily: Int?, concurrent: Int?) = (nil, nil), ofAccount: Admission.Count = .init(open: 0, today: 0),
        ofKey: Admission.Count = .init(open: 0, today: 0), host: HostLoad? = nil
    ) -> Admission {
        let accountID = AccountID.make(unixMilliseconds: 1)
        return Admission(
            account: Account(
                id: accountID, name: "a",
                tier: Tier(name: "t", sessionsPerDay: tier.daily, concurrentSessions: tier.concurrent, requestsPerSecond: 1),
                ownTier: "t",
                limits: AccountLimits(
                    sessionsPerDay: account.daily, concurrentSessions: account.concurrent, alertThreshold: 80, timezone: "UTC"),
                createdAt: .now),
            key: Key(
                id: .make(unixMilliseconds: 1), accountID: accountID, publicID: "p", secretHash: [], name: "k", isActive: true, scopes: [],
                sessionsPerDay: key.daily, concurrentSessions: key.concurrent, createdAt: .now),
            ofAccount: ofAccount, ofKey: ofKey, secondsLeftToday: 1234, host: host)
    }

    private func refusal(_ admission: Admission, _ resources: Resources = Resources()) -> ExecboxError? {
        do throws(ExecboxError) {
            try admission.check(resources)
            return nil
        } catch {
            return error
        }
    }

    @Test func withoutLimitsEverybodyIsAdmitted() {
        #expect(refusal(Self.admission(ofAccount: .init(open: 1_000_000, today: 1_000_000))) == nil)
    }

    @Test(
        arguments: [
            ((5, nil), (nil, nil), "tier", 5), ((5, nil), (3, nil), "account", 3), ((nil, nil), (3, nil), "account", 3),
            ((2, nil), (3, nil), "tier", 2),
        ] as [((Int?, Int?), (Int?, Int?), String, Int64)])
    func theSmallerLimitHoldsAndSaysWhoseItIs(tier: (Int?, Int?), account: (Int?, Int?), owner: String, value: Int64) throws {
        let full = Self.admission(tier: (nil, tier.0), account: (nil, account.0), ofAccount: .init(open: Int(value), today: 0))
        let error = try #require(refusal(full))
        #expect(error.code == .quotaExceeded)
        #expect(error.details == ["limit": .text("concurrent_sessions"), "value": .number(value), "owner": .text(owner)])
        #expect(error.retryAfter == 5)
        let oneLess = Self.admission(tier: (nil, tier.0), account: (nil, account.0), ofAccount: .init(open: Int(value) - 1, today: 0))
        #expect(refusal(oneLess) == nil)
        let today = Self.admission(tier: (tier.0, nil), account: (account.0, nil), ofAccount: .init(open: 0, today: Int(value)))
        #expect(refusal(today)?.details["limit"] == .text("sessions_per_day"))
        #expect(refusal(today)?.retryAfter == 1234)
    }

    @Test func theKeysOwnLimitHoldsBesideTheAccounts() {
        let full = Self.admission(
            tier: (nil, 10), key: (nil, 2), ofAccount: .init(open: 5, today: 0), ofKey: .init(open: 2, today: 0))
        #expect(refusal(full)?.details["owner"] == .text("key"))
        // The account comes first.
        let both = Self.admission(
            tier: (nil, 5), key: (nil, 2), ofAccount: .init(open: 5, today: 0), ofKey: .init(open: 2, today: 0))
        #expect(refusal(both)?.details["owner"] == .text("tier"))
    }

    @Test func aFullHostIsUnavailableAndSaysWhatIsMissing() {
        func host(_ taken: HostLoad.Amount) -> Admission {
            Self.admission(host: HostLoad(capacity: .init(sessions: 10, memoryMB: 1000, cpuMillis: 8000), taken: taken))
        }
        let resources = Resources(cpuMillis: 1000, memoryMB: 400)
        #expect(refusal(host(.init(sessions: 9, memoryMB: 600, cpuMillis: 7000)), resources) == nil)
        let cases: [(HostLoad.Amount, String)] = [
            (.init(sessions: 10, memoryMB: 0, cpuMillis: 0), "host_sessions"),
            (.init(sessions: 1, memoryMB: 601, cpuMillis: 0), "host_memoryMB"),
            (.init(sessions: 1, memoryMB: 0, cpuMillis: 7001), "host_cpuMillis"),
        ]
        for (taken, limit) in cases {
            let error = refusal(host(taken), resources)
            #expect(error?.code == .unavailable)
            #expect(error?.details["limit"] == .text(limit))
            #expect(error?.retryAfter == 5)
        }
        // What never fits is no matter of waiting.
        let never = refusal(host(.init(sessions: 0, memoryMB: 0, cpuMillis: 0)), Resources(memoryMB: 1001))
        #expect(never?.details["field"] == .text("resources.memoryMB"))
    }
}
