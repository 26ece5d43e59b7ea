import CAgent
import ExecboxWire

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// The table of processes: who is in it, who is taken out, and their common ends.
extension Agent {
    private static let maxProcesses = 1024
    private static let maxKept = 64
    private static let littleMemory: UInt64 = 64 << 20
    private static let littleMainBuffer = 1 << 20

    var hasLittleMemory: Bool { controlGroup.memoryLimitBytes > 0 && controlGroup.memoryLimitBytes < 4 * Self.littleMemory }

    // MARK: Start

    func launch(_ request: StartRequest) throws(AgentFailure) -> ChildProcess {
        guard !isShuttingDown else { throw AgentFailure(.ended, "the sandbox is being shut down") }
        if processes.count >= Self.maxProcesses { evictOldest() }
        guard processes.count < Self.maxProcesses else { throw AgentFailure(.busy, "\(Self.maxProcesses) processes are there already") }
        let isMain = request.processID == AgentMessage.mainProcessID
        guard let output = OutputBuffer(capacity: try bufferSize(for: request, isMain: isMain), headBytes: request.headBytes) else {
            throw AgentFailure(.busy, "no memory for an output buffer")
        }
        let oomKills = memoryTrouble().kills
        let spawned = try spawner.spawn(request, inheriting: isMain ? [] : mainEnvironment)
        let process = ChildProcess(request, spawned: spawned, output: output, agent: self, budget: budget, oomKills: oomKills)
        processes[process.id] = process
        running[process.pid] = process
        if isMain {
            isMainStarted = true
            mainEnvironment = request.environment
            watchMemory()
        }
        return process
    }

    private func bufferSize(for request: StartRequest, isMain: Bool) throws(AgentFailure) -> Int {
        var wanted = max(Int(request.bufferBytes), BufferBudget.leastBufferBytes)
        if isMain, controlGroup.memoryLimitBytes > 0, controlGroup.memoryLimitBytes < Self.littleMemory {
            wanted = min(wanted, Self.littleMainBuffer)
        }
        while budget.limit - budget.used < wanted, evictOldest() {}
        guard let size = budget.fitting(wanted) else { throw AgentFailure(.busy, "the output buffers of running processes are full") }
        return size
    }

    /// Forgets the kept exec that ended first.
    @discardableResult
    private func evictOldest() -> Bool {
        guard let oldest = kept.first(where: { $0.readers.isEmpty }) else { return false }
        forget(oldest)
        return true
    }

    // MARK: End

    func reap() {
        while true {
            var status: Int32 = 0
            var usage = rusage()
            let pid = wait4(-1, &status, WNOHANG, &usage)
            guard pid > 0 else { return }
            // Others are orphans that were left to us.
            guard let process = running.removeValue(forKey: pid) else { continue }
            process.exited(status: status, usage: usage)
            if process.isMain, isShuttingDown {
                cancel(&graceTimer)
                killEverything()
            }
        }
    }

    func processEnded(_ process: ChildProcess) {
        guard !process.isMain else { return }
        kept.append(process)
        if kept.count > Self.maxKept { evictOldest() }
    }

    /// Its id is free from now on. Readers that are still at it get everything.
    func forget(_ process: ChildProcess) {
        kept.removeAll { $0 === process }
        if processes[process.id] === process { processes[process.id] = nil }
        process.forgotten()
    }

    /// `number` to main's group, SIGKILL after the grace, and everything else once main has ended.
    func shutDown(_ number: Int32, graceMs: UInt32) {
        isShuttingDown = true
        cancel(&graceTimer)
        guard let main = processes[AgentMessage.mainProcessID], running[main.pid] === main else { return killEverything() }
        main.stopWaitingForReaders()
        main.signal(number)
        graceTimer = after(milliseconds: UInt64(graceMs)) { main.signal(SIGKILL) }
    }

    /// All but the agent.
    func killEverything() {
        for process in processes.values { process.signal(SIGKILL) }
        if getpid() == 1 {
            kill(-1, SIGKILL)
        } else {
            execbox_kill_descendants()
        }
    }

    // MARK: Memory

    /// How often the limit has killed, and when that was last seen to rise.
    func memoryTrouble() -> (kills: UInt32, lastRise: UInt64?) {
        let kills = controlGroup.oomKills
        if kills > oomKills { lastOOMRise = Clock.now }
        oomKills = kills
        return (kills, lastOOMRise)
    }

    private func watchMemory() {
        _ = after(milliseconds: 1000) { [unowned self] in
            _ = memoryTrouble()
            if let main = processes[AgentMessage.mainProcessID], running[main.pid] === main { watchMemory() }
        }
    }
}
