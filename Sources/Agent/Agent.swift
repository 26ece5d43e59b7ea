import CAgent
import ExecboxWire

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// The program in every sandbox: one thread, one loop, and everything there is belongs to it.
package final class Agent {
    private enum Failure: Error {
        case noPoller
    }

    private static let maxConnections = 1024
    private static let maxRescuedBytes = 2 << 20

    let configuration: Configuration
    let poller: Poller
    let controlGroup = ControlGroup()
    let budget: BufferBudget
    let spawner: Spawner
    /// For whatever is read and copied on at once.
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)
    private let bootID: [UInt8]
    private let startedAt = Clock.now
    private var timers = Timers()
    private var deferred: [() -> Void] = []
    private var connections: [ObjectIdentifier: Connection] = [:]
    private var dialOut: DialOut?
    private var listener: Listener?
    private var signalDescriptor: Int32 = -1
    private var isDismissed = false

    // Processes: see Agent+Processes.
    var processes: [String: ChildProcess] = [:]
    var running: [pid_t: ChildProcess] = [:]
    /// Those that are kept after their end, in the order of it.
    var kept: [ChildProcess] = []
    var mainEnvironment: [String] = []
    var isMainStarted = false
    var isShuttingDown = false
    var graceTimer: Timers.ID?
    var deadlineTimer: Timers.ID?
    var oomKills: UInt32 = 0
    var lastOOMRise: UInt64?

    package init(_ configuration: Configuration) throws {
        guard let poller = Poller() else { throw Failure.noPoller }
        self.configuration = configuration
        self.poller = poller
        budget = BufferBudget(memoryLimitBytes: controlGroup.memoryLimitBytes)
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        spawner = Spawner(openFiles: limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        var bytes = [UInt8](repeating: 0, count: Hello.bootIDLength)
        _ = execbox_random(&bytes, bytes.count)
        bootID = bytes
        oomKills = controlGroup.oomKills
    }

    deinit { scratch.deallocate() }

    /// A process nobody may look into, that is PID 1 or takes orphans in as one would, and deaf to what it does not want to hear.
    package static func prepareProcess() {
        execbox_tune_allocator()
        // Whoever started us may have left descriptors open, or the first three closed; then these numbers must not become sockets.
        execbox_close_from(3)
        while true {
            let descriptor = open("/dev/null", O_RDWR)
            guard descriptor >= 0, descriptor < 3 else {
                if descriptor >= 0 { close(descriptor) }
                break
            }
        }
        _ = execbox_become_undumpable()
        if getpid() != 1 { _ = execbox_become_subreaper() }
        signal(SIGPIPE, SIG_IGN)
        lowerOOMScore()
    }

    private static func lowerOOMScore() {
        // Refused without CAP_SYS_RESOURCE; children are raised in any case.
        let file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        _ = write(file, "-900", 4)
        close(file)
    }

    /// Runs until it is dismissed.
    ///
    /// - Returns: what the process should exit with.
    package func run() -> Int32 {
        guard watchSignals(), openTransport() else { return 1 }
        while !isDismissed {
            let now = Clock.now
            while let action = timers.takeDue(at: now) { action() }
            while !deferred.isEmpty {
                let actions = deferred
                deferred = []
                for action in actions { action() }
            }
            guard !isDismissed else { break }
            poller.wait(milliseconds: waitMilliseconds())
        }
        killEverything()
        return 0
    }

    private func waitMilliseconds() -> Int32 {
        guard deferred.isEmpty else { return 0 }
        guard let due = timers.nextDue() else { return -1 }
        let now = Clock.now
        return due <= now ? 0 : Int32(clamping: (due - now + Clock.millisecond - 1) / Clock.millisecond)
    }

    private func openTransport() -> Bool {
        switch configuration.transport {
        case .dialOut(let directory):
            let dialOut = DialOut(agent: self, directory: directory)
            self.dialOut = dialOut
            dialOut.scan()
        case .listen(let address, let port, _):
            guard let listener = Listener(agent: self, address: address, port: port) else { return false }
            self.listener = listener
        }
        return true
    }

    // MARK: Later

    func after(milliseconds: UInt64, _ action: @escaping () -> Void) -> Timers.ID {
        timers.schedule(at: Clock.now + milliseconds * Clock.millisecond, action)
    }

    func cancel(_ timer: inout Timers.ID?) {
        timers.cancel(timer)
        timer = nil
    }

    /// Once the handlers that run now are through.
    func afterThisEvent(_ action: @escaping () -> Void) { deferred.append(action) }

    // MARK: Signals

    private func watchSignals() -> Bool {
        var set = sigset_t()
        sigemptyset(&set)
        for number in [SIGCHLD, SIGTERM, SIGINT] { sigaddset(&set, number) }
        sigprocmask(SIG_BLOCK, &set, nil)
        signalDescriptor = signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
        guard signalDescriptor >= 0 else { return false }
        return poller.add(signalDescriptor, Poller.readable) { [unowned self] _ in takeSignals() }
    }

    private func takeSignals() {
        var information = signalfd_siginfo()
        while read(signalDescriptor, &information, MemoryLayout<signalfd_siginfo>.size) == MemoryLayout<signalfd_siginfo>.size {
            let number = Int32(information.ssi_signo)
            if number != SIGCHLD { processes[AgentMessage.mainProcessID]?.signal(number) }
        }
        reap()
    }

    // MARK: Connections

    var hello: AgentMessage {
        .hello(Hello(agentVersion: Configuration.version, bootID: bootID, mainStarted: isMainStarted))
    }

    var uptimeMicroseconds: UInt64 { (Clock.now - startedAt) / 1000 }

    func idleCount(of socketName: String) -> Int {
        connections.values.count { $0.state == .idle && $0.socketName == socketName }
    }

    var unprovedCount: Int { connections.values.count { $0.state == .unproved } }

    /// Takes over a connected socket; closes it if there are too many.
    func adopt(_ descriptor: Int32, socketName: String?) -> Bool {
        guard connections.count < Self.maxConnections,
            let connection = Connection(agent: self, descriptor: descriptor, socketName: socketName)
        else {
            close(descriptor)
            return false
        }
        connections[ObjectIdentifier(connection)] = connection
        connection.open(isProved: socketName != nil)
        return connection.state != .closed
    }

    func closed(_ connection: Connection) {
        connections[ObjectIdentifier(connection)] = nil
    }

    /// A connection has got its operation: the server wants another to be idle.
    func replaceIdle(_ connection: Connection) {
        guard let name = connection.socketName else { return }
        dialOut?.dial(name)
    }

    func check(secret: [UInt8]) throws(AgentFailure) {
        guard case .listen(_, _, let hash) = configuration.transport, SHA256.areEqual(SHA256.hash(secret), hash) else {
            throw AgentFailure(.forbidden, "wrong secret")
        }
    }

    /// Frames set aside for slow sockets are bounded all together.
    func mayRescue(_ count: Int) -> Bool {
        connections.values.reduce(count) { $0 + $1.outbox.count - $1.outboxSent } <= Self.maxRescuedBytes
    }

    /// Ends the loop after this event.
    func dismiss() { isDismissed = true }
}
