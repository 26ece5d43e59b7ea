import ExecboxAgentClient
import ExecboxModel
import ExecboxWire
import NIOCore

/// Further processes in a running session. Everything about them lives in the agent; nothing is stored.
package struct Execs: Sendable {
    /// What a caller asks for; every field checked for form.
    package struct Request: Sendable {
        package var command: [String]
        /// Beside the session's own environment, and winning over it.
        package var environment: [(name: String, value: String)] = []
        package var workDir: String?
        package var user: String?
        package var terminal: Session.Terminal?
        package var timeoutMs: Int64?
        /// The caller's own id: the same one never starts twice.
        package var id: String?
        package var isDetached = false

        package init(command: [String]) { self.command = command }
    }

    /// What fields are called where the request came from, for errors that name them.
    package struct FieldNames: Sendable {
        package var command: String
        package var workDir: String

        package static let body = FieldNames(command: "command", workDir: "workDir")
        package static let query = FieldNames(command: "cmd", workDir: "workdir")
    }

    /// A buffered exec's end and output.
    package struct Result: Sendable {
        package var id: String
        /// Nil when the session ended first.
        package var report: ExitReport?
        package var stdout: HeadAndTail
        package var stderr: HeadAndTail
        /// Bytes of either that were no longer kept.
        package var missing: UInt64 = 0
        package var isSessionEnded: Bool
        package var elapsedMs: Int64
    }

    private let services: SessionServices
    private let sessions: Sessions

    package init(services: SessionServices, sessions: Sessions) {
        self.services = services
        self.sessions = sessions
    }

    package static func makeID() -> String {
        ExecID.make(unixMilliseconds: UInt64(clamping: Timestamp.now.unixMicroseconds / 1000)).description
    }

    /// Starts the process and returns its id once the agent has reported the start; nobody reads it yet.
    ///
    /// - Parameter isReaderComing: output is kept, and the process held back if need be, until its first reader is there, 60 s at most.
    package func start(_ request: Request, in session: Session, fields: FieldNames, isReaderComing: Bool) async throws -> String {
        let id = request.id ?? Self.makeID()
        do {
            _ = try await sessions.request(
                .start(startRequest(request, id: id, in: session, flow: isReaderComing ? .awaited : .detached, sendsStdin: true)),
                of: session
            )
        } catch let failure as AgentFailure {
            throw Self.domainError(failure, fields: fields, id: id)
        }
        return id
    }

    /// What a request with this id wrote that was run before, or still runs.
    ///
    /// - Throws: `gone` once the agent has forgotten it, or has ended with its session.
    package func result(of id: String, maxOutputBytes: Int, in session: Session) async throws -> Result {
        do {
            if session.status.isTerminal { throw Self.notFound(id) }
            var request = Request(command: [])
            request.id = id
            return try await run(request, stdin: nil, maxOutputBytes: maxOutputBytes, in: session)
        } catch let error as ExecboxError where error.code == .notFound || error.code == .conflict {
            throw ExecboxError(.gone, "the exec \(id) was run, and its result is no longer kept")
        }
    }

    /// Runs the process with all of its stdin given, and returns what it wrote: at most `maxOutputBytes` of stdout and stderr each.
    package func run(_ request: Request, stdin: [UInt8], maxOutputBytes: Int, in session: Session) async throws -> Result {
        try await run(request, stdin: Optional(stdin), maxOutputBytes: maxOutputBytes, in: session)
    }

    /// - Parameter stdin: nil if the process was started before.
    private func run(_ request: Request, stdin: [UInt8]?, maxOutputBytes: Int, in session: Session) async throws -> Result {
        let id = request.id ?? Self.makeID()
        let started = ContinuousClock.now
        var result = Result(
            id: id,
            stdout: HeadAndTail(limit: maxOutputBytes),
            stderr: HeadAndTail(limit: maxOutputBytes),
            isSessionEnded: false,
            elapsedMs: 0
        )
        var offset: UInt64 = 0
        let link = try await services.link(to: session)
        return try await services.activity.during(session.id) {
            var hasStarted = stdin == nil
            while true {
                let message: AgentMessage =
                    hasStarted
                    ? .attach(AttachRequest(processID: id, offset: offset, sendsStdin: false))
                    : .start(startRequest(request, id: id, in: session, flow: .lossless, sendsStdin: true))
                do {
                    let report = try await collect(message, link, stdin: hasStarted ? nil : stdin, into: &result, offset: &offset) {
                        hasStarted = true
                    }
                    if let report {
                        result.isSessionEnded = try await isSessionEnd(report, of: session)
                        result.report = result.isSessionEnded ? nil : report
                        result.elapsedMs = Int64(clamping: report.elapsedMicroseconds / 1000)
                        return result
                    }
                } catch AgentLinkError.refused(let failure) {
                    throw Self.domainError(failure, fields: .body, id: id)
                } catch let error as AgentLinkError {
                    guard hasStarted else { throw try await sessions.failure(error, of: session) }
                    if error == .cancelled { throw CancellationError() }
                }
                // The connection was lost: either the session is over, or its agent comes back.
                if let now = try await services.store.session(session.id), now.status.isTerminal {
                    result.isSessionEnded = true
                    result.elapsedMs = started.duration(to: .now).microseconds / 1000
                    return result
                }
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    /// Whether the process was not ended by itself or its caller, but swept away with its session.
    package func isSessionEnd(_ report: ExitReport, of session: Session) async throws -> Bool {
        guard report.cause == .signaled, report.signal == "SIGKILL", let now = try await services.store.session(session.id) else {
            return false
        }
        if now.status.isTerminal { return true }
        guard now.intent != nil else { return false }
        // A session that is being killed takes its execs along a moment before its own end is written.
        return try await sessions.ended(session.id, until: .now + .seconds(2)) != nil
    }

    private func collect(
        _ message: AgentMessage,
        _ link: AgentLink,
        stdin: [UInt8]?,
        into result: inout Result,
        offset: inout UInt64,
        onStart: () -> Void
    ) async throws -> ExitReport? {
        var output = (result, offset)
        defer { (result, offset) = output }
        return try await link.withStream(message) { stream in
            onStart()
            let credit = StdinCredit(AgentMessage.initialStdinCredit)
            return try await withThrowingTaskGroup(of: Void.self) { group in
                if let stdin { group.addTask { try await Self.feed(stdin, to: stream, credit: credit) } }
                defer { group.cancelAll() }
                while true {
                    let events = try await stream.nextBatch()
                    guard !events.isEmpty else { return nil }
                    for event in events {
                        switch event {
                        case .output(let packet):
                            output.1 += UInt64(packet.payloadLength)
                            switch packet.stream {
                            case .stdout: output.0.stdout.append(packet.payload.readableBytesView)
                            case .stderr: output.0.stderr.append(packet.payload.readableBytesView)
                            }
                        case .gap(let missing):
                            output.0.missing += missing
                            output.1 = output.1.addingReportingOverflow(missing).partialValue
                        case .credit(let bytes): credit.add(bytes)
                        case .exited(let report): return report
                        case .failed(let failure): throw AgentLinkError.refused(failure)
                        }
                    }
                }
            }
        }
    }

    /// A process that has ended or closed its stdin takes nothing more; that is no error.
    private static func feed(_ stdin: [UInt8], to stream: AgentStream, credit: StdinCredit) async throws {
        var rest = stdin[...]
        while !rest.isEmpty {
            let count = try await credit.take(upTo: min(rest.count, 64 * 1024))
            try await stream.send(.stdin(Array(rest.prefix(count))))
            rest = rest.dropFirst(count)
        }
        try await stream.send(.stdinClose)
    }

    private func startRequest(
        _ request: Request,
        id: String,
        in session: Session,
        flow: StreamFlow,
        sendsStdin: Bool
    ) -> StartRequest {
        StartRequest(
            processID: id,
            arguments: request.command,
            environment: request.environment.map { "\($0.name)=\($0.value)" },
            workingDirectory: request.workDir ?? session.workDir,
            user: request.user ?? session.user,
            terminal: request.terminal.map { .init(columns: $0.columns, rows: $0.rows) },
            timeoutMs: UInt64(clamping: request.timeoutMs ?? 0),
            isRetained: request.id != nil || request.isDetached,
            flow: flow,
            sendsStdin: sendsStdin
        )
    }

    // MARK: The agent's list

    package func list(in session: Session) async throws -> [ProcessReport] {
        guard case .processes(let list) = try await sessions.request(.list, of: session) else { return [] }
        return list.filter { $0.processID != AgentMessage.mainProcessID && !$0.processID.hasPrefix(Files.processPrefix) }
    }

    package func exec(_ id: String, in session: Session) async throws -> ProcessReport {
        guard let report = try await list(in: session).first(where: { $0.processID == id }) else { throw Self.notFound(id) }
        return report
    }

    package func signal(_ id: String, _ name: String, in session: Session) async throws {
        try await send(.signal(processID: id, name: name), to: id, in: session)
    }

    package func resize(_ id: String, columns: UInt16, rows: UInt16, in session: Session) async throws {
        try await send(.resize(processID: id, columns: columns, rows: rows), to: id, in: session)
    }

    /// The client has gone on purpose: SIGHUP to the group, SIGKILL after 5 s.
    package func hangUp(_ id: String, in session: Session) async throws {
        try await send(.hangup(processID: id), to: id, in: session)
    }

    private func send(_ message: AgentMessage, to id: String, in session: Session) async throws {
        do {
            _ = try await sessions.request(message, of: session)
        } catch let failure as AgentFailure {
            throw Self.domainError(failure, fields: .body, id: id)
        }
    }

    private static func notFound(_ id: String) -> ExecboxError {
        ExecboxError(.notFound, "no exec \(id.prefix(128)), or it has been forgotten")
    }

    /// The agent's refusals as a caller understands them.
    package static func domainError(_ failure: AgentFailure, fields: FieldNames, id: String) -> ExecboxError {
        switch failure.code {
        case .notFound: notFound(id)
        case .conflict: ExecboxError(.conflict, failure.message)
        case .commandNotFound, .notExecutable, .startFailed: .invalid(fields.command, failure.message)
        case .unknownUser: .invalid("user", failure.message)
        case .badWorkingDirectory: .invalid(fields.workDir, failure.message)
        case .busy: ExecboxError(.quotaExceeded, failure.message, details: ["limit": .text("execs")], retryAfter: 1)
        case .ended: ExecboxError(.conflict, "the process has ended")
        case .invalidRequest: ExecboxError(.invalidArgument, failure.message)
        case .slowReader, .forbidden, .internal: ExecboxError(.internal, "internal error", privateDetail: failure.message)
        }
    }
}
