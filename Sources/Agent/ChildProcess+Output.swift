import CAgent
import ExecboxWire

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// From the pipes into the ring and on to the readers.
extension ChildProcess {
    /// The most that is read, and so sent in one frame, at once.
    static let maxReadBytes = 256 * 1024
    /// A pipe that holds less was read rather too early.
    private static let smallRead = 16 * 1024
    private static let pipeBytes: Int32 = 1 << 20
    private static let quietMilliseconds: UInt64 = 250
    /// How long others may go on writing into the pipes of a process that has ended, once its own output is read.
    private static let drainLimit = 2 * Clock.second
    /// What a reader must take within the configured time while it holds others back.
    private static let slowReaderBytes: UInt64 = 64 * 1024

    // MARK: Reading

    /// How much can be read now; 0 while it is so little that only tiny frames would come of it.
    private var room: Int {
        var lowest: UInt64?
        if !isKillRequested {
            if isReaderAwaited { lowest = output.start }
            for reader in readers where reader.flow == .lossless { lowest = min(lowest ?? reader.position, reader.position) }
        }
        let room = output.room(lowestReader: lowest)
        return room >= min(output.capacity / 4, 64 * 1024) ? room : 0
    }

    /// Watches the sources that may be read, and only these.
    func updateSources() {
        guard !isEnded else { return }
        let mayRead = pauseTimer == nil && room > 0
        for source in sources where source.isOpen {
            let isWatched = agent.poller.contains(source.descriptor)
            if mayRead, !isWatched {
                let added = agent.poller.add(source.descriptor, Poller.readable) { [unowned self] _ in sourceIsReady(source) }
                // A source nobody hears of would never end.
                if !added { closeSource(source) }
            } else if !mayRead, isWatched {
                agent.poller.remove(source.descriptor)
            }
        }
        if room == 0 { watchSlowReaders() }
    }

    private func sourceIsReady(_ source: OutputSource) {
        let now = Clock.now
        let wasJustRead = now - lastReadAt < Clock.millisecond
        lastReadAt = now
        let count = readOnce(source)
        deliver()
        if case .exited = state { return checkDrained() }
        // A process that writes little and often: let something gather, so that a thousand lines are not a thousand frames.
        if wasJustRead, count > 0, count < Self.smallRead, pauseTimer == nil {
            pauseTimer = agent.after(milliseconds: 1) { [unowned self] in
                pauseTimer = nil
                updateSources()
            }
        }
        updateSources()
    }

    /// Reads what is there, as far as there is room; closes the source at its end.
    ///
    /// - Returns: how many bytes came.
    private func readOnce(_ source: OutputSource) -> Int {
        guard source.isOpen else { return 0 }
        let room = room
        guard room > 0 else { return 0 }
        return source.isTerminal ? readTerminal(source, room) : readPipe(source, room)
    }

    private func readPipe(_ source: OutputSource, _ room: Int) -> Int {
        // Asked for first, because what is reserved and not filled would be old output dropped for nothing.
        let waiting = min(execbox_readable_bytes(source.descriptor), room, Self.maxReadBytes)
        guard waiting > 0 else {
            let (count, _) = readCopying(source, min(room, agent.scratch.count))
            return count
        }
        rescueReaders(reserving: waiting)
        let (first, second) = output.reserve(waiting)
        let count = withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { vectors in
            vectors.initializeElement(at: 0, to: iovec(iov_base: first.baseAddress, iov_len: first.count))
            vectors.initializeElement(at: 1, to: iovec(iov_base: second.baseAddress, iov_len: second.count))
            return readv(source.descriptor, vectors.baseAddress, second.isEmpty ? 1 : 2)
        }
        guard count > 0 else { return 0 }
        output.commit(count, from: source.stream)
        source.unreadAtExit = max(0, source.unreadAtExit - count)
        if source.shouldEnlarge(after: count) { enlargePipe(source) }
        return count
    }

    /// A terminal gives 4 KiB at a time and does not say how much waits.
    private func readTerminal(_ source: OutputSource, _ room: Int) -> Int {
        var total = 0
        while source.isOpen, total < 64 * 1024, room - total >= 4096 {
            let (count, isDry) = readCopying(source, 4096)
            total += count
            if isDry { break }
        }
        return total
    }

    private func readCopying(_ source: OutputSource, _ limit: Int) -> (count: Int, isDry: Bool) {
        let count = read(source.descriptor, agent.scratch.baseAddress, limit)
        if count > 0 {
            rescueReaders(reserving: count)
            output.append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(agent.scratch)[..<count]), from: source.stream)
            source.unreadAtExit = max(0, source.unreadAtExit - count)
            return (count, false)
        }
        if count < 0, errno == EAGAIN || errno == EINTR {
            if errno == EAGAIN { source.unreadAtExit = 0 }
            return (0, true)
        }
        // 0 is a pipe's end, EIO a terminal's.
        closeSource(source)
        return (0, true)
    }

    func closeSource(_ source: OutputSource) {
        guard source.isOpen else { return }
        agent.poller.remove(source.descriptor)
        source.markClosed()
        close(source.descriptor)
    }

    private func enlargePipe(_ source: OutputSource) {
        // The kernel counts a pipe's pages as the sandbox's memory, and refuses beyond a user's share.
        execbox_enlarge_pipe(source.descriptor, agent.hasLittleMemory ? Self.pipeBytes / 4 : Self.pipeBytes)
    }

    // MARK: Readers

    /// A frame that was begun has to be ended: what of it is about to be dropped is set aside.
    private func rescueReaders(reserving count: Int) {
        let start = output.start(afterReserving: count)
        guard start > output.start else { return }
        for reader in readers where reader.position < start { reader.rescueFrame(from: output) }
    }

    private func deliver() {
        for reader in readers { reader.pump() }
    }

    /// A reader has taken something, was lost or no longer counts; or bytes were acknowledged.
    func readersMoved() {
        guard !isEnded else { return deliver() }
        updateSources()
        if isKillRequested { deliver() }
    }

    /// - Throws: `conflict` if a newer recorder was here.
    func admitRecorder(_ reader: Connection) throws(AgentFailure) {
        guard reader.epoch >= highestEpoch else {
            throw AgentFailure(.conflict, "recorder \(highestEpoch) has taken over from \(reader.epoch)")
        }
        guard reader.epoch > highestEpoch else { return }
        highestEpoch = reader.epoch
        for older in readers where older.flow == .recorder && older.epoch < reader.epoch {
            older.fail(AgentFailure(.conflict, "recorder \(reader.epoch) has taken over"))
        }
    }

    func acknowledge(epoch: UInt64, offset: UInt64) {
        guard epoch >= highestEpoch else { return }
        highestEpoch = epoch
        output.acknowledge(offset)
        readersMoved()
    }

    // MARK: Slow readers

    /// While the buffer is full, looks now and then whose fault it is.
    private func watchSlowReaders() {
        guard slowReaderTimer == nil, !isKillRequested, readers.count > 1 else { return }
        let limit = UInt64(agent.configuration.slowReaderSeconds) * 1000
        slowReaderTimer = agent.after(milliseconds: max(50, min(1000, limit / 10))) { [unowned self] in
            slowReaderTimer = nil
            cutSlowReaders()
            if !isEnded, room == 0 { watchSlowReaders() }
        }
    }

    private func cutSlowReaders() {
        let lossless = readers.filter { $0.flow == .lossless }
        let limit = UInt64(agent.configuration.slowReaderSeconds) * Clock.second
        let now = Clock.now
        for reader in lossless {
            let isFull = Int(output.end - reader.position) > output.capacity - min(output.capacity / 4, 64 * 1024)
            if !isFull || reader.position - reader.mark.position >= Self.slowReaderBytes || reader.mark.time == 0 {
                reader.mark = (isFull ? now : 0, reader.position)
            } else if now - reader.mark.time >= limit, lossless.count > 1 {
                reader.fail(
                    AgentFailure(.slowReader, "took less than 64 KiB in \(agent.configuration.slowReaderSeconds) s and held others back"))
                return
            }
        }
    }

    // MARK: Drain

    /// The leader has ended. What it wrote is in the pipes; others may hold these open, and write on.
    func beginDrain() {
        agent.cancel(&pauseTimer)
        for source in sources { source.noteExit() }
        lastReadAt = Clock.now
        // A recorder gets everything at once now.
        deliver()
        checkDrained()
    }

    /// Reads on until all sources have ended, or nothing more is to be waited for.
    private func checkDrained() {
        var passes = 0
        while true {
            var count = 0
            for source in sources where source.isOpen { count += readOnce(source) }
            guard count > 0 else { break }
            lastReadAt = Clock.now
            deliver()
            passes += 1
            // Past the leader's own output the event loop must not be kept: others may write for ever.
            if passes > 1, !sources.contains(where: { $0.isOpen && $0.unreadAtExit > 0 }) { break }
        }
        guard sources.contains(where: \.isOpen) else { return end() }
        let isComplete = !sources.contains { $0.isOpen && $0.unreadAtExit > 0 }
        let now = Clock.now
        // While a reader holds the buffer, silence means nothing.
        if room > 0, isComplete, now - lastReadAt >= Self.quietMilliseconds * Clock.millisecond || now - exitedAt >= Self.drainLimit {
            return end()
        }
        updateSources()
        if drainTimer == nil {
            drainTimer = agent.after(milliseconds: Self.quietMilliseconds) { [unowned self] in
                drainTimer = nil
                checkDrained()
            }
        }
    }
}
