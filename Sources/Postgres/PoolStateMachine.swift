/// The pool's decisions, and nothing else: no tasks, no clock, no random numbers of its own.
///
/// Every event returns what the driver has to do after it has let go of the lock.
struct PoolStateMachine: Sendable {
    typealias Instant = ContinuousClock.Instant

    struct ConnectionID: Hashable, Sendable {
        let number: Int
    }

    struct WaiterID: Hashable, Sendable {
        let number: Int
    }

    enum Action: Hashable, Sendable {
        /// Connect after the given time, then report `connected` or `connectFailed`.
        case open(ConnectionID, after: Duration)
        /// Forget and close the connection; nothing is reported back.
        case close(ConnectionID)
        case grant(WaiterID, ConnectionID)
        case fail(WaiterID, Refusal)
        /// Nothing is left after `shutdown`.
        case finished
    }

    enum Answer: Hashable, Sendable {
        /// The connection, and whether it sat idle for so long that only a query can tell if it still works.
        case granted(ConnectionID, validate: Bool)
        case wait(WaiterID)
        case refused(Refusal)
    }

    enum Refusal: Hashable, Sendable {
        case unavailable
        case exhausted
        case closed
    }

    private enum Slot {
        case opening
        case idle(since: Instant, expires: Instant)
        case leased(expires: Instant)
    }

    private enum Phase {
        case running
        case closing
        case finished
    }

    private let configuration: PostgresPool.Configuration
    private var phase = Phase.running
    private var slots: [ConnectionID: Slot] = [:]

    // The most recently used last: the others can grow old and be closed.
    private var idle: [ConnectionID] = []
    private var waiters: [WaiterID] = []
    private var nextNumber = 0

    // Attempts to connect that failed since the last one that did not, and when the first of them found no connection alive.
    private var failures = 0
    private var failingSince: Instant?

    /// Open: no server, leases are refused at once, one attempt to connect after the other goes on.
    private(set) var isCircuitOpen = false

    init(_ configuration: PostgresPool.Configuration) {
        self.configuration = configuration
    }

    var statistics: PostgresPool.Statistics {
        let opening = self.openingCount
        return PostgresPool.Statistics(
            idle: self.idle.count, leased: self.slots.count - self.idle.count - opening, opening: opening, waiting: self.waiters.count,
            isAvailable: self.phase == .running && !self.isCircuitOpen)
    }

    // MARK: - Events

    /// The pool begins to run.
    mutating func start() -> [Action] {
        self.openWhatIsNeeded()
    }

    /// Somebody wants a connection. `first` puts him before all who wait: his last one turned out to be dead.
    mutating func lease(now: Instant, first: Bool = false) -> (Answer, [Action]) {
        guard self.phase == .running else { return (.refused(.closed), []) }
        if let id = self.idle.popLast(), case .idle(let since, let expires) = self.slots[id] {
            self.slots[id] = .leased(expires: expires)
            return (.granted(id, validate: now - since >= self.configuration.validateAfter), [])
        }
        if self.isCircuitOpen { return (.refused(.unavailable), []) }
        guard self.waiters.count < self.configuration.maximumWaiters else { return (.refused(.exhausted), []) }
        let waiter = WaiterID(number: self.newNumber())
        self.waiters.insert(waiter, at: first ? 0 : self.waiters.count)
        return (.wait(waiter), self.openWhatIsNeeded())
    }

    /// A waiter gave up. False if he has been answered already.
    mutating func cancel(_ waiter: WaiterID) -> Bool {
        guard let index = self.waiters.firstIndex(of: waiter) else { return false }
        self.waiters.remove(at: index)
        return true
    }

    /// A connection was made. `jitter`, from 0 to 1, spreads the ends of life.
    mutating func connected(_ id: ConnectionID, now: Instant, jitter: Double) -> [Action] {
        guard case .opening = self.slots[id] else { return [.close(id)] }
        self.failures = 0
        self.failingSince = nil
        self.isCircuitOpen = false
        let expires = now + self.configuration.maximumLifetime * (0.8 + 0.2 * jitter)
        return self.hand(id, expires: expires, now: now) + self.openWhatIsNeeded()
    }

    mutating func connectFailed(_ id: ConnectionID, now: Instant, jitter: Double) -> [Action] {
        guard case .opening = self.slots[id] else { return [] }
        self.failures += 1
        var actions: [Action] = []
        if self.slots.count == self.openingCount {
            let since = self.failingSince ?? now
            self.failingSince = since
            if now - since >= self.configuration.tripAfter {
                self.isCircuitOpen = true
                actions += self.waiters.map { .fail($0, .unavailable) }
                self.waiters = []
            }
        }
        // While attempts fail, one at a time is enough. It goes on as long as somebody is served by its success.
        let isWanted = self.isCircuitOpen || !self.waiters.isEmpty || self.slots.count <= self.configuration.minimumConnections
        if self.openingCount > 1 || !isWanted {
            self.slots[id] = nil
            return actions
        }
        return actions + [.open(id, after: self.configuration.backoff.delay(failures: self.failures, jitter: jitter))]
    }

    /// A lease ended. `reusable` is false for a connection that is closed or in an unknown state.
    mutating func released(_ id: ConnectionID, now: Instant, reusable: Bool) -> [Action] {
        guard case .leased(let expires) = self.slots[id] else { return [] }
        guard reusable, self.phase == .running, now < expires else {
            self.slots[id] = nil
            return [.close(id)] + self.openWhatIsNeeded() + self.finishIfEmpty()
        }
        return self.hand(id, expires: expires, now: now)
    }

    /// Time has passed: closes what is too old, or idle and not needed.
    mutating func tick(now: Instant) -> [Action] {
        var actions: [Action] = []
        for id in self.idle {
            guard case .idle(let since, let expires) = self.slots[id] else { continue }
            let isSpare = self.slots.count > self.configuration.minimumConnections && now - since >= self.configuration.idleTimeout
            guard isSpare || now >= expires else { continue }
            self.slots[id] = nil
            self.idle.removeAll { $0 == id }
            actions.append(.close(id))
        }
        return actions + self.openWhatIsNeeded()
    }

    /// No more leases; those that are out may come back. A second call does nothing.
    mutating func shutdown() -> [Action] {
        guard self.phase == .running else { return [] }
        self.phase = .closing
        var actions: [Action] = self.waiters.map { .fail($0, .closed) }
        actions += self.idle.map { .close($0) }
        self.waiters = []
        self.idle = []
        self.slots = self.slots.filter { if case .leased = $0.value { true } else { false } }
        return actions + self.finishIfEmpty()
    }

    // MARK: - Steps

    private var openingCount: Int {
        self.slots.values.count { if case .opening = $0 { true } else { false } }
    }

    private mutating func hand(_ id: ConnectionID, expires: Instant, now: Instant) -> [Action] {
        guard !self.waiters.isEmpty else {
            self.slots[id] = .idle(since: now, expires: expires)
            self.idle.append(id)
            return []
        }
        self.slots[id] = .leased(expires: expires)
        return [.grant(self.waiters.removeFirst(), id)]
    }

    private mutating func openWhatIsNeeded() -> [Action] {
        guard self.phase == .running else { return [] }
        var actions: [Action] = []
        var opening = self.openingCount
        let isFailing = self.failures > 0 || self.isCircuitOpen
        while self.slots.count < self.configuration.maximumConnections,
            self.waiters.count > opening || self.slots.count < self.configuration.minimumConnections,
            !isFailing || opening == 0
        {
            let id = ConnectionID(number: self.newNumber())
            self.slots[id] = .opening
            opening += 1
            actions.append(.open(id, after: .zero))
        }
        return actions
    }

    private mutating func finishIfEmpty() -> [Action] {
        guard self.phase == .closing, self.slots.isEmpty else { return [] }
        self.phase = .finished
        return [.finished]
    }

    private mutating func newNumber() -> Int {
        self.nextNumber += 1
        return self.nextNumber
    }
}
