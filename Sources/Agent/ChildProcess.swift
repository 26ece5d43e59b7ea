import CAgent
import ExecboxWire

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// One started process: its descriptors, its output, its readers and what will happen to it.
///
/// Lives from its start until it is forgotten: `running` until it was waited for, then drained, then ended with a report.
final class ChildProcess {
    enum State {
        case running
        /// Waited for; its output is still coming.
        case exited
        case ended(ExitReport)
    }

    unowned let agent: Agent
    let id: String
    let arguments: [String]
    let workingDirectory: String
    let user: String
    let isRetained: Bool
    let isTerminal: Bool
    /// The leader's, and so its group's and its session's.
    let pid: pid_t
    let startedAt: UInt64
    private(set) var state = State.running

    // Output: see ChildProcess+Output.
    var output: OutputBuffer
    var sources: [OutputSource] = []
    var readers: [Connection] = []
    var highestEpoch: UInt64 = 0
    var lastReadAt: UInt64 = 0
    var pauseTimer: Timers.ID?
    var slowReaderTimer: Timers.ID?
    var drainTimer: Timers.ID?
    var exitedAt: UInt64 = 0
    /// Nobody is waited for any more, so that a stuck reader cannot hold up an end.
    var isKillRequested = false
    /// Held for a lossless reader that is not there yet, or not there again: nothing of the buffer is dropped.
    private(set) var isReaderAwaited = false

    // Input: see ChildProcess+Input.
    var stdin: Int32
    var stdinQueue = StdinQueue()
    var stdinWriters: [ObjectIdentifier: Connection] = [:]
    var isInPartialLine = false

    private var reservation: Int
    private let budget: BufferBudget
    private var status: Int32 = 0
    private var ownCPUMicroseconds: UInt64 = 0
    private var elapsedMicroseconds: UInt64 = 0
    private var isTimedOut = false
    private var isHangupRequested = false
    /// The agent sent SIGKILL: that is no sign of memory trouble.
    private var isKilledByUs = false
    private var isOrphanExpired = false
    private var wasDelivered = false
    private let oomKillsAtStart: UInt32
    private var timeoutTimer: Timers.ID?
    private var orphanTimer: Timers.ID?
    private var awaitTimer: Timers.ID?
    private var hangupTimer: Timers.ID?
    private var retentionTimer: Timers.ID?

    var isMain: Bool { id == AgentMessage.mainProcessID }

    var isEnded: Bool {
        if case .ended = state { true } else { false }
    }

    init(
        _ request: StartRequest, spawned: Spawner.Spawned, output: consuming OutputBuffer, agent: Agent, budget: BufferBudget,
        oomKills: UInt32
    ) {
        self.agent = agent
        self.budget = budget
        id = request.processID
        arguments = request.arguments
        workingDirectory = request.workingDirectory
        user = request.user
        isRetained = request.isRetained || request.processID == AgentMessage.mainProcessID
        isTerminal = request.terminal != nil
        pid = spawned.pid
        stdin = spawned.stdin
        startedAt = Clock.now
        oomKillsAtStart = oomKills
        reservation = output.capacity
        self.output = output
        budget.take(reservation)
        sources = [OutputSource(descriptor: spawned.stdout, stream: .stdout, isTerminal: isTerminal)]
        if spawned.stderr >= 0 { sources.append(OutputSource(descriptor: spawned.stderr, stream: .stderr, isTerminal: false)) }
        if request.timeoutMs > 0 {
            // Beyond a century is never.
            let milliseconds = min(request.timeoutMs, 100 * 365 * 86_400_000)
            timeoutTimer = agent.after(milliseconds: milliseconds) { [unowned self] in timeOut() }
        }
        updateSources()
    }

    deinit { budget.giveBack(reservation) }

    /// Whether a repeated start means this process.
    func isStarted(by request: StartRequest) -> Bool {
        arguments == request.arguments && workingDirectory == request.workingDirectory && user == request.user
    }

    var report: ProcessReport {
        var exit: ExitReport?
        if case .ended(let report) = state { exit = report }
        var isRunning = false
        if case .running = state { isRunning = true }
        return ProcessReport(
            processID: id, pid: isRunning ? UInt32(bitPattern: pid) : 0,
            elapsedMicroseconds: isRunning ? (Clock.now - startedAt) / 1000 : elapsedMicroseconds, stdoutBytes: output.stdoutBytes,
            stderrBytes: output.stderrBytes, firstOffset: output.start, exit: exit)
    }

    // MARK: Signals

    /// To the whole group, as long as output is waited for: the leader may be gone while others of its group live on.
    ///
    /// - Returns: false if there is nobody left.
    @discardableResult
    func signal(_ number: Int32) -> Bool {
        guard !isEnded else { return false }
        if number == SIGKILL {
            isKilledByUs = true
            stopWaitingForReaders()
        }
        // A group keeps its number from being given away, so this cannot hit another one while somebody of it is left.
        return kill(-pid, number) == 0
    }

    /// From now on output is dropped rather than waited for (but not the head's).
    func stopWaitingForReaders() {
        guard !isKillRequested else { return }
        isKillRequested = true
        agent.afterThisEvent { [self] in readersMoved() }
    }

    private func timeOut() {
        isTimedOut = true
        signal(SIGKILL)
    }

    /// The client has gone on purpose: SIGHUP, SIGKILL a little later; main and retained ones stay.
    func hangUp() {
        guard !isRetained else { return }
        if isEnded { return forgetIfAlone() }
        guard !isHangupRequested else { return }
        isHangupRequested = true
        agent.cancel(&orphanTimer)
        stopAwaiting()
        readersMoved()
        signal(SIGHUP)
        // A stopped process would not see it.
        signal(SIGCONT)
        hangupTimer = agent.after(milliseconds: UInt64(agent.configuration.hangupSeconds) * 1000) { [self] in
            // Not by `signal`: the leader may have ended in time, and only others of its group refused to.
            isKilledByUs = true
            stopWaitingForReaders()
            kill(-pid, SIGKILL)
        }
    }

    // MARK: End

    /// The leader has been waited for.
    func exited(status: Int32, usage: rusage) {
        guard case .running = state else { return }
        state = .exited
        exitedAt = Clock.now
        elapsedMicroseconds = (exitedAt - startedAt) / 1000
        self.status = status
        ownCPUMicroseconds = Self.microseconds(usage.ru_utime) + Self.microseconds(usage.ru_stime)
        agent.cancel(&timeoutTimer)
        if isHangupRequested, kill(-pid, 0) != 0 { agent.cancel(&hangupTimer) }
        closeStdin()
        beginDrain()
    }

    /// All of its output is in the buffer, or nobody can say how much more others would write into its pipes.
    func end() {
        guard case .exited = state else { return }
        agent.cancel(&drainTimer)
        agent.cancel(&pauseTimer)
        for source in sources { closeSource(source) }
        sources = []
        state = .ended(makeReport())
        stopAwaiting()
        agent.cancel(&slowReaderTimer)
        // No more will come: the rest of the buffer can be promised to others.
        let touched = min(reservation, output.touchedBytes + 4096)
        budget.giveBack(reservation - touched)
        reservation = touched
        readersMoved()
        agent.processEnded(self)
        if isRetained, !isMain {
            retentionTimer = agent.after(milliseconds: UInt64(agent.configuration.retentionSeconds) * 1000) { [self] in
                agent.forget(self)
            }
        } else {
            forgetIfAlone()
        }
    }

    private func makeReport() -> ExitReport {
        let number = execbox_term_signal(status)
        let isSignaled = number != 0
        let memory = agent.memoryTrouble()
        let didRise = memory.kills > oomKillsAtStart
        // An exec that was killed by somebody while the counter rose; main also when it ended shortly after another was killed.
        let isKilled = isSignaled && number == SIGKILL && !isKilledByUs
        let isAfterKill = isMain && !isKillRequested && memory.lastRise.map { exitedAt <= $0 + 5 * Clock.second } ?? false
        let cause: ExitReport.Cause =
            if isTimedOut { .timeout } else if didRise, isKilled || isAfterKill { .outOfMemory } else if isSignaled { .signaled } else {
                .exited
            }
        return ExitReport(
            processID: id, cause: cause, exitCode: isSignaled ? 128 + number : execbox_exit_code(status),
            signal: isSignaled ? SignalName.name(of: number) : "", elapsedMicroseconds: elapsedMicroseconds,
            stdoutBytes: output.stdoutBytes, stderrBytes: output.stderrBytes,
            cpuMicroseconds: isMain ? agent.controlGroup.cpuMicroseconds ?? ownCPUMicroseconds : ownCPUMicroseconds,
            memoryPeakBytes: agent.controlGroup.memoryPeakBytes, oomKills: memory.kills)
    }

    private static func microseconds(_ time: timeval) -> UInt64 { UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_usec) }

    // MARK: Who still wants it

    func add(_ reader: Connection) {
        readers.append(reader)
        agent.cancel(&orphanTimer)
        isOrphanExpired = false
        if reader.flow != .recorder { stopAwaiting() }
    }

    /// A reader comes (back) within a while: until then output is kept, and so the process held back once the buffer is full.
    func awaitReader() {
        guard !isReaderAwaited, !isEnded else { return }
        isReaderAwaited = true
        awaitTimer = agent.after(milliseconds: UInt64(agent.configuration.orphanSeconds) * 1000) { [self] in
            awaitTimer = nil
            stopAwaiting()
            readersMoved()
        }
    }

    private func stopAwaiting() {
        isReaderAwaited = false
        agent.cancel(&awaitTimer)
    }

    /// - Parameter delivered: everything up to the exit report has been taken by the server.
    func remove(_ reader: Connection, delivered: Bool) {
        guard let index = readers.firstIndex(where: { $0 === reader }) else { return }
        readers.remove(at: index)
        stdinWriters[ObjectIdentifier(reader)] = nil
        if delivered { wasDelivered = true }
        if !readers.contains(where: { $0.flow != .recorder }) {
            // Lost, not closed: it has its time to come back, and is to miss nothing of what can be kept.
            if reader.flow == .lossless, !isRetained { awaitReader() }
            becomeOrphan()
        }
        readersMoved()
    }

    /// Nobody reads; somebody may come (back) within a while.
    func becomeOrphan() {
        guard !isRetained else { return }
        if isEnded, wasDelivered || isHangupRequested { return forgetIfAlone() }
        guard orphanTimer == nil, !isHangupRequested else { return }
        orphanTimer = agent.after(milliseconds: UInt64(agent.configuration.orphanSeconds) * 1000) { [self] in
            orphanTimer = nil
            isOrphanExpired = true
            if isEnded { forgetIfAlone() } else { hangUp() }
        }
    }

    private func forgetIfAlone() {
        guard !isRetained, isEnded, readers.isEmpty, wasDelivered || isHangupRequested || isOrphanExpired else { return }
        agent.forget(self)
    }

    /// Called when the agent lets go of it: no timer may keep it.
    func forgotten() {
        agent.cancel(&orphanTimer)
        agent.cancel(&awaitTimer)
        agent.cancel(&retentionTimer)
        // A pending SIGKILL after Hangup is kept: the group may outlive its leader.
    }
}
