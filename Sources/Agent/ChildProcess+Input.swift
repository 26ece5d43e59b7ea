import CAgent
import ExecboxWire

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// From clients to the process.
extension ChildProcess {
    /// Beyond this no further stdin is taken off the sockets, whatever credit their clients have.
    private static let maxQueuedBytes = 1 << 20

    var isStdinFull: Bool { stdinQueue.byteCount >= Self.maxQueuedBytes }

    func write(_ bytes: ArraySlice<UInt8>, from sender: Connection) {
        // What nobody will ever read is taken, as /dev/null takes it.
        guard stdin >= 0 else { return sender.stdinTaken(bytes.count) }
        stdinWriters[ObjectIdentifier(sender)] = sender
        stdinQueue.append(bytes, from: ObjectIdentifier(sender))
        drainStdin()
    }

    func closeInput(from sender: Connection) {
        guard stdin >= 0 else { return }
        stdinQueue.appendEnd(from: ObjectIdentifier(sender))
        drainStdin()
    }

    private func drainStdin() {
        let wasFull = isStdinFull
        while stdin >= 0 {
            switch stdinQueue.front {
            case .nothing:
                agent.poller.remove(stdin)
                return resumeWriters(wasFull)
            case .bytes(let bytes):
                let count = bytes.withUnsafeBytes { Self.write(stdin, $0) }
                if count < 0 {
                    if errno == EINTR { continue }
                    guard errno == EAGAIN else {
                        closeStdin()
                        continue
                    }
                    if !agent.poller.contains(stdin) {
                        let added = agent.poller.add(stdin, Poller.writable) { [unowned self] _ in drainStdin() }
                        if !added { closeStdin() }
                    }
                    return resumeWriters(wasFull)
                }
                isInPartialLine = bytes.dropFirst(count - 1).first.map { $0 != 0x0A && $0 != 0x0D } ?? isInPartialLine
                let sender = stdinQueue.consume(count)
                stdinWriters[sender]?.stdinTaken(count)
            case .endOfInput:
                _ = stdinQueue.consume(0)
                if isTerminal { endTerminalInput() } else { closeStdin() }
            }
        }
        resumeWriters(wasFull)
    }

    /// A terminal stays open: its line discipline is told to end the reader's input.
    private func endTerminalInput() {
        let character = execbox_terminal_end_of_file(stdin)
        guard character >= 0 else { return }
        // After half a line the first one only passes that on.
        let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: character), count: isInPartialLine ? 2 : 1)
        isInPartialLine = false
        _ = bytes.withUnsafeBytes { Self.write(stdin, $0) }
    }

    /// The process has ended or closed its end: what is queued, and what still comes, goes nowhere.
    func closeStdin() {
        guard stdin >= 0 else { return }
        let wasFull = isStdinFull
        agent.poller.remove(stdin)
        close(stdin)
        stdin = -1
        while !stdinQueue.isEmpty {
            var count = 0
            if case .bytes(let bytes) = stdinQueue.front { count = bytes.count }
            let sender = stdinQueue.consume(count)
            stdinWriters[sender]?.stdinTaken(count)
        }
        resumeWriters(wasFull)
        stdinWriters = [:]
    }

    /// - Returns: false if there is no terminal.
    func resize(columns: UInt16, rows: UInt16) -> Bool {
        guard isTerminal, let master = sources.first, master.isOpen else { return false }
        return execbox_resize_terminal(master.descriptor, columns, rows) == 0
    }

    private func resumeWriters(_ wasFull: Bool) {
        guard wasFull, !isStdinFull else { return }
        for writer in stdinWriters.values { writer.updateInterest() }
    }

    private static func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        #if canImport(Musl)
            Musl.write(descriptor, bytes.baseAddress, bytes.count)
        #else
            Glibc.write(descriptor, bytes.baseAddress, bytes.count)
        #endif
    }
}
