import ExecboxWire

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// What a connection's first message asks for.
extension Agent {
    func perform(_ message: AgentMessage, on connection: Connection) {
        do throws(AgentFailure) {
            if let reply = try reply(to: message, on: connection) { connection.answer(reply) }
        } catch {
            connection.fail(error)
        }
        replaceIdle(connection)
        if case .dismiss = message { dismiss() }
    }

    /// - Returns: nil if the connection has become a stream or was answered already.
    private func reply(to message: AgentMessage, on connection: Connection) throws(AgentFailure) -> AgentMessage? {
        switch message {
        case .start(let request): return try start(request, on: connection)
        case .attach(let request):
            guard request.flow.isReader else { throw AgentFailure(.invalidRequest, "attach cannot be \(request.flow)") }
            connection.stream(
                try process(request.processID), from: request.offset, flow: request.flow, epoch: request.epoch,
                sendsStdin: request.sendsStdin)
            return nil
        case .signal(let processID, let name):
            let process = try process(processID)
            guard let number = SignalName.number(of: name) else { throw AgentFailure(.invalidRequest, "unknown signal \(name)") }
            guard process.signal(number) else { throw AgentFailure(.ended, "\(processID) has ended") }
            return .done
        case .resize(let processID, let columns, let rows):
            let process = try process(processID)
            guard process.isTerminal else { throw AgentFailure(.invalidRequest, "\(processID) has no terminal") }
            guard process.resize(columns: columns, rows: rows) else { throw AgentFailure(.ended, "\(processID) has ended") }
            return .done
        case .hangup(let processID):
            try process(processID).hangUp()
            return .done
        case .list: return .processes(processes.values.sorted { $0.startedAt < $1.startedAt }.map(\.report))
        case .stats: return .statistics(controlGroup.statistics(uptimeMicroseconds: uptimeMicroseconds))
        case .setDeadline(let seconds):
            cancel(&deadlineTimer)
            deadlineTimer = after(milliseconds: UInt64(seconds) * 1000) { [unowned self] in killEverything() }
            return .done
        case .shutdown(let signal, let graceMs):
            let name = signal.isEmpty ? "SIGTERM" : signal
            guard let number = SignalName.number(of: name) else { throw AgentFailure(.invalidRequest, "unknown signal \(name)") }
            shutDown(number, graceMs: graceMs)
            return .done
        case .dismiss: return .done
        // Types 0x2C-0x37: files, trees and ports will stand here.
        case .hello, .secret, .done, .failed, .attached, .acknowledge, .exited, .processes, .statistics:
            throw AgentFailure(.invalidRequest, "\(message.type) is no operation")
        }
    }

    private func process(_ id: String) throws(AgentFailure) -> ChildProcess {
        guard let process = processes[id] else { throw AgentFailure(.notFound, "no process \(id)") }
        return process
    }

    private func start(_ request: StartRequest, on connection: Connection) throws(AgentFailure) -> AgentMessage? {
        let process: ChildProcess
        if let existing = processes[request.processID] {
            guard existing.isStarted(by: request) else {
                throw AgentFailure(.conflict, "\(request.processID) was started with another command")
            }
            process = existing
        } else {
            process = try launch(request)
            if request.flow == .awaited { process.awaitReader() }
            if !request.flow.isReader { process.becomeOrphan() }
        }
        if !request.flow.isReader { return .attached(first: process.output.start, end: process.output.end) }
        connection.stream(process, from: 0, flow: request.flow, epoch: request.epoch, sendsStdin: request.sendsStdin)
        return nil
    }
}
