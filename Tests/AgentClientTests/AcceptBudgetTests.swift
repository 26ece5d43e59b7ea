import ExecboxTestRandom
import NIOCore
import Testing

@testable import ExecboxAgentClient

@Suite struct AcceptBudgetTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    @Test("a burst of a second's worth is free, and then one per interval") func burstSecondsWorthFreeThenOnePer() {
        var budget = AcceptBudget(perSecond: 10, at: start)
        for _ in 0..<10 {
            #expect(budget.delay(at: start) == nil)
            budget.spend()
        }
        #expect(budget.delay(at: start) == .milliseconds(100))
        #expect(budget.delay(at: start + .milliseconds(99)) == .milliseconds(100))
        #expect(budget.delay(at: start + .milliseconds(100)) == nil)
        budget.spend()
        #expect(budget.delay(at: start + .milliseconds(199)) == .milliseconds(100))
        #expect(budget.delay(at: start + .milliseconds(200)) == nil)
    }

    @Test("a pause earns a second's worth and no more, however long it was") func pauseEarnsSecondsWorthNoMoreHowever() {
        var budget = AcceptBudget(perSecond: 10, at: start)
        let later = start + .hours(100_000)
        for _ in 0..<10 {
            #expect(budget.delay(at: later) == nil)
            budget.spend()
        }
        #expect(budget.delay(at: later) != nil)
    }

    @Test("what one read accepted too much is waited for") func whatOneReadAcceptedTooMuchWaited() {
        var budget = AcceptBudget(perSecond: 10, at: start)
        for _ in 0..<13 { budget.spend() }
        #expect(budget.delay(at: start) == .milliseconds(400))
    }

    @Test("no second sees more than two bursts", arguments: UInt64(1)...10)
    func noSecondSeesMoreThanTwoBursts(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var budget = AcceptBudget(perSecond: 100, at: start)
        var accepted: [NIODeadline] = []
        var now = start
        for _ in 0..<5000 {
            now = now + .microseconds(Int64.random(in: 0..<3000, using: &generator))
            if budget.delay(at: now) == nil {
                budget.spend()
                accepted.append(now)
            }
        }
        for (index, time) in accepted.enumerated() where index >= 200 {
            #expect(time - accepted[index - 200] >= .milliseconds(990))
        }
    }
}
