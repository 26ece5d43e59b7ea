import ExecboxCore
import ExecboxModel
import ExecboxTestRandom
import ExecboxWire
import Testing

private func report(_ cause: ExitReport.Cause, code: Int32, signal: String = "") -> ExitReport {
    ExitReport(processID: "main", cause: cause, exitCode: code, signal: signal)
}

@Suite struct SessionLifecycleTests {
    private func running(intent: StopIntent? = nil) -> SessionLifecycle {
        SessionLifecycle(status: intent == nil ? .running : .stopping, intent: intent)
    }

    private func end(_ action: SessionLifecycle.Action) throws -> SessionEnd {
        guard case .finish(let end) = action else { throw Unexpected(action: action) }
        return end
    }

    private struct Unexpected: Error { var action: SessionLifecycle.Action }

    @Test func anImageThatIsAtHandLeadsStraightToTheSandbox() {
        var lifecycle = SessionLifecycle()
        #expect(lifecycle.handle(.imageReady) == .createSandbox)
        #expect(lifecycle.status == .starting)
    }

    @Test func anImageThatIsMissingIsPreparedFirst() {
        var lifecycle = SessionLifecycle()
        #expect(lifecycle.handle(.imageNeeded) == .prepareImage)
        #expect(lifecycle.status == .building)
        #expect(lifecycle.handle(.imageReady) == .createSandbox)
    }

    @Test func aStartedMainRuns() {
        var lifecycle = SessionLifecycle(status: .starting)
        #expect(lifecycle.handle(.mainStarted) == .none)
        #expect(lifecycle.status == .running)
    }

    @Test func anIntentThatCameWhileStartingIsCarriedOutOnceMainRuns() {
        var graceful = SessionLifecycle(status: .starting, intent: .stopped)
        #expect(graceful.handle(.mainStarted) == .signalMain)
        #expect(graceful.status == .stopping)
        var killed = SessionLifecycle(status: .starting, intent: .killed)
        #expect(killed.handle(.mainStarted) == .killMain)
    }

    @Test func anImageThatCannotBeHadFailsWithTheRegistrysWords() throws {
        var lifecycle = SessionLifecycle(status: .building)
        let end = try end(lifecycle.handle(.imageFailed("manifest unknown")))
        #expect(end == SessionEnd(reason: .imageError, error: "manifest unknown"))
        #expect(lifecycle.status == .failed)
    }

    @Test func anImageThatIsTakenAwayBeforeTheSandboxIsMadeFails() throws {
        var lifecycle = SessionLifecycle(status: .starting)
        #expect(try end(lifecycle.handle(.imageFailed("no such image"))).reason == .imageError)
    }

    @Test func anImageFailureNeverEndsWhatRuns() {
        var lifecycle = SessionLifecycle(status: .running)
        #expect(lifecycle.handle(.imageFailed("no such image")) == .none)
    }

    @Test func aMainThatCannotStartFails() throws {
        var lifecycle = SessionLifecycle(status: .starting)
        #expect(try end(lifecycle.handle(.startFailed("no such command"))).reason == .startFailed)
        #expect(lifecycle.status == .failed)
    }

    @Test func stoppingWhatNeverRanIsACancellation() throws {
        for status in [SessionStatus.pending, .building, .starting] {
            var lifecycle = SessionLifecycle(status: status)
            #expect(try end(lifecycle.handle(.stopWanted(.stopped, error: nil))).reason == .killed)
            #expect(lifecycle.status == .killed)
        }
    }

    @Test func everyIntentEndsWhatDoesNotRunYet() throws {
        for status in [SessionStatus.pending, .building, .starting] {
            for intent in StopIntent.allCases {
                var lifecycle = SessionLifecycle(status: status)
                let end = try end(lifecycle.handle(.stopWanted(intent, error: "why")))
                #expect(end.reason == (intent == .stopped ? .killed : intent.reason) && end.error == "why", "\(status) \(intent)")
            }
        }
    }

    @Test func aGracefulStopSignalsAndAnExitBehindTheSignalIsStopped() throws {
        var lifecycle = running()
        #expect(lifecycle.handle(.stopWanted(.stopped, error: nil)) == .signalMain)
        #expect(lifecycle.status == .stopping)
        #expect(lifecycle.handle(.stopSignaled) == .none)
        let end = try end(lifecycle.handle(.mainEnded(report(.signaled, code: 143, signal: "SIGTERM"))))
        #expect(end.reason == .stopped)
        #expect(end.exitCode == 143)
        #expect(end.signal == "SIGTERM")
    }

    @Test func anExitBeforeTheFirstSignalIsExited() throws {
        var lifecycle = running(intent: .stopped)
        #expect(try end(lifecycle.handle(.mainEnded(report(.exited, code: 3)))).reason == .exited)
    }

    @Test func aKillDuringStoppingEscalates() throws {
        var lifecycle = running(intent: .stopped)
        #expect(lifecycle.handle(.stopWanted(.killed, error: nil)) == .killMain)
        #expect(try end(lifecycle.handle(.mainEnded(report(.signaled, code: 137, signal: "SIGKILL")))).reason == .killed)
    }

    @Test func theFirstOfTwoReasonsWins() throws {
        var lifecycle = running()
        #expect(lifecycle.handle(.stopWanted(.timeout, error: "1000 ms are over")) == .killMain)
        #expect(lifecycle.handle(.stopWanted(.killed, error: nil)) == .none)
        let end = try end(lifecycle.handle(.mainEnded(report(.signaled, code: 137, signal: "SIGKILL"))))
        #expect(end.reason == .timeout)
        #expect(end.error == "1000 ms are over")
    }

    @Test(arguments: [
        (ExitReport.Cause.exited, EndReason.exited), (.signaled, .signaled), (.outOfMemory, .oomKilled), (.timeout, .timeout),
    ])
    func anEndNobodyAskedForHasMainsOwnReason(_ cause: ExitReport.Cause, _ reason: EndReason) throws {
        var lifecycle = running()
        let end = try end(lifecycle.handle(.mainEnded(report(cause, code: 9))))
        #expect(end.reason == reason)
        #expect(end.exitCode == 9)
        #expect(lifecycle.status == reason.status)
    }

    @Test func aSandboxThatDisappearsIsBackendLost() throws {
        var lifecycle = running()
        let end = try end(lifecycle.handle(.sandboxLost(outOfMemory: false)))
        #expect(end.reason == .backendLost)
        #expect(end.exitCode == nil)
        #expect(lifecycle.status == .failed)
    }

    @Test func aSandboxThatDisappearsForLackOfMemoryIsOOMKilled() throws {
        var lifecycle = running()
        let end = try end(lifecycle.handle(.sandboxLost(outOfMemory: true)))
        #expect(end.reason == .oomKilled)
        #expect(end.exitCode == 137)
    }

    @Test func aSandboxThatDisappearsAfterAKillWasWantedIsKilled() throws {
        var lifecycle = running(intent: .killed)
        #expect(try end(lifecycle.handle(.sandboxLost(outOfMemory: false))).reason == .killed)
    }

    @Test(arguments: [SessionStatus.stopped, .killed, .failed])
    func nothingChangesATerminalState(_ status: SessionStatus) {
        let events: [SessionLifecycle.Event] = [
            .imageNeeded, .imageReady, .imageFailed("x"), .mainStarted, .startFailed("x"), .stopWanted(.killed, error: nil), .stopSignaled,
            .mainEnded(report(.exited, code: 0)), .sandboxLost(outOfMemory: true),
        ]
        for event in events {
            var lifecycle = SessionLifecycle(status: status)
            #expect(lifecycle.handle(event) == .none)
            #expect(lifecycle.status == status)
        }
    }

    @Test func anyOrderOfEventsEndsAtMostOnce() {
        var generator = SeededGenerator(seed: 7)
        let events: [SessionLifecycle.Event] = [
            .imageNeeded, .imageReady, .imageFailed("x"), .mainStarted, .startFailed("x"), .stopWanted(.stopped, error: nil),
            .stopWanted(.killed, error: nil), .stopWanted(.timeout, error: "t"), .stopSignaled, .mainEnded(report(.exited, code: 0)),
            .mainEnded(report(.signaled, code: 137, signal: "SIGKILL")), .sandboxLost(outOfMemory: false), .sandboxLost(outOfMemory: true),
        ]
        for _ in 0..<20_000 {
            var lifecycle = SessionLifecycle()
            var ends = 0
            for _ in 0..<12 {
                guard let event = events.randomElement(using: &generator) else { continue }
                if case .finish(let end) = lifecycle.handle(event) {
                    ends += 1
                    #expect(lifecycle.status == end.reason.status)
                }
            }
            #expect(ends <= 1)
            #expect(lifecycle.status.isTerminal == (ends == 1))
        }
    }
}
