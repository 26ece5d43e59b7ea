import ExecboxSandbox
import ExecboxWire
import NIOCore

/// Which connections of a link are open and idle, and which agents are let in: pure state, no input or output.
struct AgentPool: Sendable {
    private enum Listening: Sendable {
        case notBegun
        case binding
        case done(Result<Void, AgentLinkError>)
    }

    /// Wraps an optional, so that "there is none" and "do not go on" differ.
    struct Predecessor: Sendable {
        let link: AgentLink?
    }

    /// What a link that is being closed leaves to do.
    struct Rest: Sendable {
        let connections: [AgentConnection]
        let predecessor: AgentLink?
    }

    private let limits: AgentLinkLimits
    private(set) var transport: AgentTransport
    /// Every open connection.
    private var connections: [ObjectIdentifier: AgentConnection] = [:]
    private var greeting: Set<ObjectIdentifier> = []
    /// Idle, the newest last.
    private var parked: [AgentConnection] = []
    private var hello: Hello?
    private var expectedBootID: [UInt8]?
    /// Why the newest agent was turned away; nil once one was let in.
    private(set) var refusal: AgentLinkError?
    private(set) var isClosed = false
    private var listening = Listening.notBegun
    private var listener: (any Channel)?
    /// The link that has the socket's path until it is closed.
    private var predecessor: AgentLink?
    private(set) var isFinished = false
    private var lastComplaint: NIODeadline?
    private var unmentioned = 0
    var counters = AgentLinkCounters()

    init(transport: AgentTransport, limits: AgentLinkLimits, predecessor: AgentLink?) {
        self.transport = transport
        self.limits = limits
        self.predecessor = predecessor
    }

    // MARK: Connections

    /// - Returns: false if there are too many already; close it.
    mutating func add(_ connection: AgentConnection, isDialed: Bool) -> Bool {
        guard !isClosed else { return false }
        // Those we dial are as many as there are callers.
        guard isDialed || greeting.count < limits.maxGreeting else {
            counters.surplus += 1
            return false
        }
        connections[ObjectIdentifier(connection)] = connection
        greeting.insert(ObjectIdentifier(connection))
        return true
    }

    /// - Returns: why the connection has to be closed, nil if it is idle now.
    mutating func introduce(_ connection: AgentConnection, _ hello: Hello) -> AgentLinkError? {
        guard greeting.contains(ObjectIdentifier(connection)), !isClosed else { return .closed }
        if let expectedBootID, hello.bootID != expectedBootID {
            turnAway(.otherBoot)
            return .otherBoot
        }
        greeting.remove(ObjectIdentifier(connection))
        counters.greeted += 1
        refusal = nil
        self.hello = hello
        guard parked.count < limits.maxParked else {
            counters.surplus += 1
            return .closed
        }
        parked.append(connection)
        return nil
    }

    /// An agent is not let in; from now on callers get the reason.
    mutating func turnAway(_ reason: AgentLinkError) {
        // While a welcome agent is connected this one is a late connection of one that is gone. If it is the new one and the other
        // has died, the other's connections end at once, and this one dials again.
        if !isConnected { refusal = reason }
    }

    /// A connection has been closed, by whomever.
    mutating func remove(_ connection: AgentConnection) {
        connections[ObjectIdentifier(connection)] = nil
        greeting.remove(ObjectIdentifier(connection))
        parked.removeAll { $0 === connection }
    }

    /// - Returns: open connections of other boots; they have to be closed.
    mutating func expect(bootID: [UInt8]) -> [AgentConnection] {
        expectedBootID = bootID
        let others = connections.values.filter { $0.bootID.map { $0 != bootID } ?? false }
        for other in others { parked.removeAll { $0 === other } }
        if let hello, hello.bootID != bootID {
            self.hello = nil
            refusal = .otherBoot
        } else if hello != nil {
            refusal = nil
        }
        return others
    }

    /// An idle connection, once there is one.
    mutating func checkOut() -> Result<AgentConnection, AgentLinkError>? {
        if isClosed { return .failure(.closed) }
        if let connection = parked.popLast() { return .success(connection) }
        return refusal.map { .failure($0) }
    }

    // MARK: What is known

    /// Connections that were turned away count as greeting until they are closed.
    var isConnected: Bool { !isClosed && connections.count > greeting.count }
    var hasParked: Bool { !parked.isEmpty }

    var knownHello: Result<Hello, AgentLinkError>? {
        if isClosed { return .failure(.closed) }
        if let refusal { return .failure(refusal) }
        return hello.map { .success($0) }
    }

    var connected: Result<Void, AgentLinkError>? {
        if isClosed { return .failure(.closed) }
        if let refusal { return .failure(refusal) }
        return isConnected ? .success(()) : nil
    }

    /// A dial is about to be made: what an agent said to the one before does not count for it.
    mutating func forgetRefusal() {
        if case .refused = refusal { refusal = nil }
    }

    // MARK: The socket

    /// - Returns: false if `transport` is another one than this link's.
    mutating func complete(_ transport: AgentTransport) -> Bool {
        if transport.isCompleted(by: self.transport) { return true }
        guard self.transport.isCompleted(by: transport) else { return false }
        self.transport = transport
        return true
    }

    /// The socket, once it is there and the agent can be told from others.
    var readyListener: (any Channel)? {
        transport.isIncomplete ? nil : listener
    }

    /// - Returns: nil if the link has been closed meanwhile: make no socket.
    mutating func beginListening() -> Predecessor? {
        guard !isClosed else { return nil }
        listening = .binding
        defer { predecessor = nil }
        return Predecessor(link: predecessor)
    }

    /// - Parameter result: the server channel, nil for a transport without one.
    mutating func listening(_ result: Result<(any Channel)?, AgentLinkError>) {
        switch result {
        case .success(let channel):
            listener = channel
            listening = .done(.success(()))
        case .failure(let error): listening = .done(.failure(error))
        }
    }

    var isBinding: Bool {
        if case .binding = listening { true } else { false }
    }

    var listeningResult: Result<Void, AgentLinkError>? {
        if isClosed { return .failure(.closed) }
        guard case .done(let result) = listening else { return nil }
        return result
    }

    mutating func takeListener() -> (any Channel)? {
        defer { listener = nil }
        return listener
    }

    /// - Returns: nil if someone else closes it already.
    mutating func close() -> Rest? {
        guard !isClosed else { return nil }
        isClosed = true
        parked = []
        greeting = []
        defer { predecessor = nil }
        return Rest(connections: Array(connections.values), predecessor: predecessor)
    }

    mutating func finished() {
        isFinished = true
    }

    // MARK: Complaints

    /// Hostile agents must not fill the log: one line a second.
    ///
    /// - Returns: how many complaints the line stands for, nil if there is to be none.
    mutating func complain(at now: NIODeadline) -> Int? {
        unmentioned += 1
        if let lastComplaint, now < lastComplaint + .seconds(1) { return nil }
        lastComplaint = now
        defer { unmentioned = 0 }
        return unmentioned
    }
}
