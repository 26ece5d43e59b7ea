import ExecboxModel
import ExecboxWire

/// What a session does next, as a pure state machine: no clock, no tasks, no rows. Drivers feed it events and carry out its actions.
///
///     pending → building → starting → running → stopping → stopped | killed | failed
///
/// Terminal states are final: events that come later change nothing and ask for nothing.
package struct SessionLifecycle: Equatable, Sendable {
    package enum Event: Equatable, Sendable {
        /// The image is not at hand and has to be pulled or built.
        case imageNeeded
        case imageReady
        case imageFailed(String)
        case mainStarted
        case startFailed(String)
        /// Somebody, or a limit, wants the end. `error` names the limit.
        case stopWanted(StopIntent, error: String?)
        /// The stop signal has reached main's group.
        case stopSignaled
        case mainEnded(ExitReport)
        /// The backend says that the sandbox is gone or has exited without main's report.
        case sandboxLost(outOfMemory: Bool)
    }

    package enum Action: Equatable, Sendable {
        case none
        case prepareImage
        case createSandbox
        /// Main's group gets the image's stop signal, SIGKILL when the grace is over.
        case signalMain
        /// SIGKILL at once.
        case killMain
        /// Write the terminal row, tell readers, destroy the sandbox.
        case finish(SessionEnd)
    }

    package private(set) var status: SessionStatus
    package private(set) var intent: StopIntent?
    package private(set) var intentError: String?
    private var isStopSignaled: Bool

    package init(
        status: SessionStatus = .pending,
        intent: StopIntent? = nil,
        intentError: String? = nil,
        isStopSignaled: Bool = false
    ) {
        self.status = status
        self.intent = intent
        self.intentError = intentError
        self.isStopSignaled = isStopSignaled
    }

    package mutating func handle(_ event: Event) -> Action {
        guard !status.isTerminal else { return .none }
        switch event {
        case .imageNeeded:
            guard status == .pending else { return .none }
            status = .building
            return .prepareImage
        case .imageReady:
            guard status == .pending || status == .building else { return .none }
            status = .starting
            return .createSandbox
        case .imageFailed(let words):
            // Also while starting: an image can be taken away between its preparation and the sandbox.
            guard status != .running, status != .stopping else { return .none }
            return finish(SessionEnd(reason: .imageError, error: words))
        case .mainStarted:
            guard status == .starting else { return .none }
            status = intent == nil ? .running : .stopping
            return intent.map { $0.isGraceful ? .signalMain : .killMain } ?? .none
        case .startFailed(let words):
            guard status != .running, status != .stopping else { return .none }
            return finish(intent.map(cancelled) ?? SessionEnd(reason: .startFailed, error: words))
        case .stopWanted(let wanted, let error): return stop(wanted, error: error)
        case .stopSignaled:
            isStopSignaled = true
            return .none
        case .mainEnded(let report): return finish(end(for: report))
        case .sandboxLost(let outOfMemory): return finish(lost(outOfMemory: outOfMemory))
        }
    }

    private mutating func stop(_ wanted: StopIntent, error: String?) -> Action {
        switch (intent, wanted) {
        case (nil, _), (.stopped, .killed):
            intent = wanted
            intentError = error
        default: return .none  // the first writer wins
        }
        switch status {
        case .pending, .building, .starting: return finish(cancelled(by: wanted))
        case .running, .stopping:
            status = .stopping
            return wanted.isGraceful ? .signalMain : .killMain
        case .stopped, .killed, .failed: return .none
        }
    }

    /// A session that never ran was not stopped: nothing was there to be stopped.
    private func cancelled(by wanted: StopIntent) -> SessionEnd {
        SessionEnd(reason: wanted == .stopped ? .killed : wanted.reason, error: intentError ?? "cancelled before it ran")
    }

    private func end(for report: ExitReport) -> SessionEnd {
        var end = SessionEnd(
            reason: .exited,
            exitCode: report.exitCode,
            signal: report.signal.isEmpty ? nil : report.signal,
            report: report
        )
        switch (intent, report.cause) {
        case (.stopped?, _) where isStopSignaled: end.reason = .stopped
        case (.stopped?, .exited), (nil, .exited): end.reason = .exited
        case (let intent?, _) where intent != .stopped:
            end.reason = intent.reason
            end.error = intentError
        case (_, .outOfMemory):
            end.reason = .oomKilled
            end.error = "the memory limit was reached"
        case (_, .timeout): end.reason = .timeout
        default: end.reason = .signaled
        }
        return end
    }

    private func lost(outOfMemory: Bool) -> SessionEnd {
        if let intent {
            guard status == .running || status == .stopping else { return cancelled(by: intent) }
            return SessionEnd(reason: intent.reason, error: intentError)
        }
        return outOfMemory
            ? SessionEnd(reason: .oomKilled, error: "the memory limit was reached", exitCode: 137, signal: "SIGKILL")
            : SessionEnd(reason: .backendLost, error: "the sandbox disappeared without main's exit being seen")
    }

    private mutating func finish(_ end: SessionEnd) -> Action {
        status = end.reason.status
        return .finish(end)
    }
}
