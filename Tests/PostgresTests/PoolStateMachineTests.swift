import Testing

@testable import ExecboxPostgres

@Suite("The pool's state machine") struct PoolStateMachineTests {
    typealias Machine = PoolStateMachine
    private let start = ContinuousClock.now

    private func machine(_ change: (inout PostgresPool.Configuration) -> Void = { _ in }) -> Machine {
        var configuration = PostgresPool.Configuration()
        configuration.minimumConnections = 0
        configuration.maximumConnections = 2
        configuration.tripAfter = .zero
        change(&configuration)
        return Machine(configuration)
    }

    private func id(_ number: Int) -> Machine.ConnectionID { Machine.ConnectionID(number: number) }
    private func waiter(_ number: Int) -> Machine.WaiterID { Machine.WaiterID(number: number) }

    /// A machine with one connection, number 2, lent to waiter 1.
    private func lent(_ change: (inout PostgresPool.Configuration) -> Void = { _ in }) -> Machine {
        var machine = self.machine(change)
        _ = machine.lease(now: self.start)
        _ = machine.connected(self.id(2), now: self.start, jitter: 1)
        return machine
    }

    @Test("opens its minimum when it starts")
    func opensMinimum() {
        var machine = self.machine { $0.minimumConnections = 2 }
        #expect(machine.start() == [.open(self.id(1), after: .zero), .open(self.id(2), after: .zero)])
    }

    @Test("opens a connection for the first who asks and grants it once it is there")
    func opensOnDemand() {
        var machine = self.machine()
        let (answer, actions) = machine.lease(now: self.start)
        #expect(answer == .wait(self.waiter(1)))
        #expect(actions == [.open(self.id(2), after: .zero)])
        #expect(machine.connected(self.id(2), now: self.start, jitter: 1) == [.grant(self.waiter(1), self.id(2))])
        #expect(machine.statistics.leased == 1)
    }

    @Test("never has more connections than its maximum")
    func maximum() {
        var machine = self.machine()
        let opened = (0..<5).flatMap { _ in machine.lease(now: self.start).1 }
        #expect(opened.count == 2)
        #expect(machine.statistics.waiting == 5)
    }

    @Test("serves those who wait in the order they came")
    func fairness() {
        var machine = self.lent { $0.maximumConnections = 1 }
        guard case .wait(let first) = machine.lease(now: self.start).0, case .wait(let second) = machine.lease(now: self.start).0 else {
            Issue.record("nobody waits")
            return
        }
        #expect(machine.released(self.id(2), now: self.start, reusable: true) == [.grant(first, self.id(2))])
        #expect(machine.released(self.id(2), now: self.start, reusable: true) == [.grant(second, self.id(2))])
    }

    @Test("serves somebody whose connection was dead before all others")
    func deadConnection() {
        var machine = self.lent { $0.maximumConnections = 1 }
        _ = machine.lease(now: self.start)
        let closing = machine.released(self.id(2), now: self.start, reusable: false)
        guard closing.first == .close(self.id(2)), case .open(let next, _) = closing.last else {
            Issue.record("\(closing)")
            return
        }
        guard case .wait(let again) = machine.lease(now: self.start, first: true).0 else {
            Issue.record("does not wait")
            return
        }
        #expect(machine.connected(next, now: self.start, jitter: 1) == [.grant(again, next)])
    }

    @Test("forgets a waiter who gives up, and says whether he was still waiting")
    func cancel() {
        var machine = self.lent { $0.maximumConnections = 1 }
        guard case .wait(let waiter) = machine.lease(now: self.start).0 else {
            Issue.record("does not wait")
            return
        }
        let (first, second) = (machine.cancel(waiter), machine.cancel(waiter))
        #expect(first && !second)
        #expect(machine.released(self.id(2), now: self.start, reusable: true) == [])
        #expect(machine.statistics.idle == 1)
    }

    @Test("refuses when too many wait")
    func tooManyWaiters() {
        var machine = self.lent {
            $0.maximumConnections = 1
            $0.maximumWaiters = 1
        }
        _ = machine.lease(now: self.start)
        #expect(machine.lease(now: self.start).0 == .refused(.exhausted))
    }

    @Test("fails everybody at once when the server is away, and new ones immediately")
    func circuitOpens() {
        var machine = self.machine()
        _ = machine.lease(now: self.start)
        let actions = machine.connectFailed(self.id(2), now: self.start, jitter: 1)
        #expect(actions == [.fail(self.waiter(1), .unavailable), .open(self.id(2), after: .milliseconds(100))])
        #expect(machine.lease(now: self.start).0 == .refused(.unavailable))
        #expect(!machine.statistics.isAvailable)
    }

    @Test("lets leases wait while the server has not been away for long")
    func circuitTakesItsTime() {
        var machine = self.machine { $0.tripAfter = .seconds(1) }
        _ = machine.lease(now: self.start)
        #expect(machine.connectFailed(self.id(2), now: self.start, jitter: 1) == [.open(self.id(2), after: .milliseconds(100))])
        let later = machine.connectFailed(self.id(2), now: self.start + .seconds(1), jitter: 1)
        #expect(later == [.fail(self.waiter(1), .unavailable), .open(self.id(2), after: .milliseconds(200))])
    }

    @Test("goes on trying, ever more slowly, and serves again when the server is back")
    func circuitCloses() {
        var machine = self.machine()
        _ = machine.lease(now: self.start)
        var delays: [Duration] = []
        for _ in 0..<8 {
            for case .open(_, let delay) in machine.connectFailed(self.id(2), now: self.start, jitter: 1) { delays.append(delay) }
        }
        #expect(delays.first == .milliseconds(100))
        #expect(delays.last == .seconds(5))
        #expect(machine.connected(self.id(2), now: self.start, jitter: 1) == [])
        #expect(machine.statistics.isAvailable)
        #expect(machine.lease(now: self.start).0 == .granted(self.id(2), validate: false))
    }

    @Test("makes one attempt at a time while attempts fail")
    func oneProbe() {
        var machine = self.machine()
        _ = machine.lease(now: self.start)
        _ = machine.lease(now: self.start)
        #expect(machine.statistics.opening == 2)
        _ = machine.connectFailed(self.id(2), now: self.start, jitter: 1)
        #expect(machine.statistics.opening == 1)
    }

    @Test("keeps serving from live connections when a further one cannot be made")
    func failureBesideLiveConnections() {
        var machine = self.lent()
        guard case (.wait(let waiter), let actions) = machine.lease(now: self.start), case .open(let second, _) = actions.first else {
            Issue.record("opens none")
            return
        }
        _ = machine.connectFailed(second, now: self.start, jitter: 1)
        #expect(machine.statistics.isAvailable)
        #expect(machine.released(self.id(2), now: self.start, reusable: true) == [.grant(waiter, self.id(2))])
    }

    @Test("asks for a check of a connection that rested for long")
    func validation() {
        var machine = self.lent()
        _ = machine.released(self.id(2), now: self.start, reusable: true)
        #expect(machine.lease(now: self.start + .seconds(30)).0 == .granted(self.id(2), validate: true))
    }

    @Test("replaces a connection at the end of its life, when it comes back")
    func lifetime() {
        var machine = self.lent { $0.minimumConnections = 1 }
        let actions = machine.released(self.id(2), now: self.start + .seconds(1800), reusable: true)
        #expect(actions.first == .close(self.id(2)))
        #expect(machine.statistics.opening == 1)
    }

    @Test("closes what rests for long, but for the minimum")
    func idleTimeout() {
        var machine = self.machine { $0.minimumConnections = 1 }
        for case .open(let id, _) in machine.start() { _ = machine.connected(id, now: self.start, jitter: 1) }
        _ = machine.lease(now: self.start)
        for case .open(let id, _) in machine.lease(now: self.start).1 { _ = machine.connected(id, now: self.start, jitter: 1) }
        for number in 1...4 { _ = machine.released(self.id(number), now: self.start, reusable: true) }
        #expect(machine.statistics.idle == 2)
        #expect(machine.tick(now: self.start + .seconds(300)).count == 1)
        #expect(machine.statistics.idle == 1)
    }

    @Test("shuts down by failing those who wait, closing what is idle and waiting for what is lent")
    func shutdown() {
        var machine = self.lent { $0.maximumConnections = 1 }
        guard case .wait(let waiter) = machine.lease(now: self.start).0 else {
            Issue.record("does not wait")
            return
        }
        #expect(machine.shutdown() == [.fail(waiter, .closed)])
        #expect(machine.shutdown() == [])
        #expect(machine.lease(now: self.start).0 == .refused(.closed))
        #expect(machine.released(self.id(2), now: self.start, reusable: true) == [.close(self.id(2)), .finished])
    }

    @Test("closes a connection that is made after shutdown")
    func lateConnection() {
        var machine = self.machine { $0.minimumConnections = 1 }
        _ = machine.start()
        #expect(machine.shutdown() == [.finished])
        #expect(machine.connected(self.id(1), now: self.start, jitter: 1) == [.close(self.id(1))])
    }

    @Test("keeps its counts right whatever happens in whatever order")
    func randomWalk() {
        var generator = SystemRandomNumberGenerator()
        var machine = self.machine { $0.maximumConnections = 3 }
        var opening: Set<Machine.ConnectionID> = []
        var leased: Set<Machine.ConnectionID> = []
        var waiting: Set<Machine.WaiterID> = []
        var now = self.start
        func carryOut(_ actions: [Machine.Action]) {
            for action in actions {
                switch action {
                case .open(let id, _): opening.insert(id)
                case .close(let id):
                    leased.remove(id)
                    opening.remove(id)
                case .grant(let waiter, let id):
                    #expect(waiting.remove(waiter) != nil)
                    #expect(leased.insert(id).inserted)
                case .fail(let waiter, _): #expect(waiting.remove(waiter) != nil)
                case .finished: Issue.record("finished")
                }
            }
        }
        for _ in 0..<5_000 {
            now += .milliseconds(Int.random(in: 0...2_000, using: &generator))
            switch Int.random(in: 0..<6, using: &generator) {
            case 0, 1:
                let (answer, actions) = machine.lease(now: now)
                switch answer {
                case .granted(let id, _): #expect(leased.insert(id).inserted)
                case .wait(let waiter): waiting.insert(waiter)
                case .refused: break
                }
                carryOut(actions)
            case 2:
                if let id = opening.randomElement() {
                    opening.remove(id)
                    carryOut(machine.connected(id, now: now, jitter: 0.5))
                }
            case 3:
                if let id = opening.randomElement() {
                    opening.remove(id)
                    carryOut(machine.connectFailed(id, now: now, jitter: 0.5))
                }
            case 4:
                if let id = leased.randomElement() {
                    leased.remove(id)
                    carryOut(machine.released(id, now: now, reusable: Bool.random(using: &generator)))
                }
            default:
                if let waiter = waiting.randomElement() {
                    let wasWaiting = machine.cancel(waiter)
                    #expect(wasWaiting)
                    waiting.remove(waiter)
                }
                carryOut(machine.tick(now: now))
            }
            let statistics = machine.statistics
            #expect(statistics.leased == leased.count)
            #expect(statistics.opening == opening.count)
            #expect(statistics.waiting == waiting.count)
            #expect(statistics.leased + statistics.opening + statistics.idle <= 3)
            #expect(waiting.isEmpty || !opening.isEmpty || leased.count == 3 || !leased.isEmpty, "somebody waits for nothing")
        }
    }
}
