import ExecboxCore
import ExecboxModel
import ExecboxPostgres
import ExecboxWire
import Testing

@Suite struct SessionStoreTests {
    private func end(_ reason: EndReason) -> SessionEnd { SessionEnd(reason: reason) }

    @Test func aSessionReadsBackAsItWasInserted() async throws {
        try await StoreFixture.with { fixture in
            var session = fixture.newSession(
                labels: ["team": "ops", "quote": "a\"b'c\\"],
                resources: Resources(cpuMillis: 250, memoryMB: 64, diskMB: 10, pids: 9, timeoutMs: 5000, idleTimeoutMs: 1000)
            )
            session.terminal = Session.Terminal(columns: 80, rows: 24)
            session.ports = [Session.Port(spec: PortSpec(container: 80, transport: .tcp))]
            session.network = .exposed
            let inserted = try await fixture.insert(session)
            #expect(try await fixture.sessions.session(session.id) == inserted)
            #expect(inserted.labels == session.labels)
            #expect(inserted.command == session.command)
            #expect(inserted.resources == session.resources)
            #expect(inserted.ports == session.ports)
            #expect(inserted.terminal == session.terminal)
            #expect(inserted.status == .pending)
        }
    }

    @Test func anotherAccountsSessionIsNone() async throws {
        try await StoreFixture.with { fixture in
            let session = try await fixture.insert()
            #expect(try await fixture.sessions.session(session.id, account: .make(unixMilliseconds: 1)) == nil)
            #expect(try await fixture.sessions.session(session.id, account: fixture.caller.accountID) != nil)
        }
    }

    @Test func listingIsNewestFirstAndFollowsItsCursor() async throws {
        try await StoreFixture.with { fixture in
            var ids: [SessionID] = []
            for number in 0..<5 {
                var session = fixture.newSession(labels: ["n": "\(number % 2)"])
                session.id = .make(unixMilliseconds: UInt64(1000 + number))
                ids.append(try await fixture.insert(session).id)
            }
            let account = fixture.caller.accountID
            let first = try await fixture.sessions.list(account: account, statuses: [], labels: [:], before: nil, limit: 2)
            #expect(first.map(\.id) == [ids[4], ids[3]])
            let second = try await fixture.sessions.list(account: account, statuses: [.pending], labels: [:], before: ids[3], limit: 9)
            #expect(second.map(\.id) == [ids[2], ids[1], ids[0]])
            let labelled = try await fixture.sessions.list(account: account, statuses: [], labels: ["n": "1"], before: nil, limit: 9)
            #expect(labelled.map(\.id) == [ids[3], ids[1]])
            #expect(try await fixture.sessions.list(account: account, statuses: [.running], labels: [:], before: nil, limit: 9).isEmpty)
        }
    }

    @Test func aClaimHoldsUntilItRunsOutOrItsOwnerIsDead() async throws {
        try await StoreFixture.with { fixture in
            let session = try await fixture.insert()
            let owner = fixture.claimant.description
            #expect(try await fixture.sessions.claim(session.id, by: "other", from: nil) == nil)
            #expect(try await fixture.sessions.renewClaim(session.id, by: owner))
            #expect(try await fixture.sessions.claim(session.id, by: "other", from: owner) != nil)
            #expect(try await !fixture.sessions.renewClaim(session.id, by: owner))
            _ = try await fixture.pool.execute("UPDATE sessions SET claimed_until = now() - interval '1 s'")
            #expect(try await fixture.sessions.claim(session.id, by: "third", from: nil) != nil)
        }
    }

    @Test func whoLostTheClaimChangesNothing() async throws {
        try await StoreFixture.with { fixture in
            let session = try await fixture.insertRunning()
            let stale = fixture.claimant.description
            _ = try await fixture.sessions.claim(session.id, by: "other", from: stale)
            let finished = try await fixture.sessions.finish(
                session.id,
                end: end(.exited),
                lowerBound: nil,
                claimant: stale
            )
            #expect(finished == nil)
            #expect(try await fixture.sessions.session(session.id)?.status == .running)
        }
    }

    @Test func theTerminalTransitionHappensOnce() async throws {
        try await StoreFixture.with { fixture in
            let session = try await fixture.insertRunning()
            let claimant = fixture.claimant.description
            let report = ExitReport(
                processID: "main",
                cause: .exited,
                exitCode: -7,
                elapsedMicroseconds: 1000,
                stdoutBytes: 5,
                stderrBytes: 6,
                cpuMicroseconds: 3000,
                memoryPeakBytes: 10 << 20,
                oomKills: 2
            )
            let first = try await fixture.sessions.finish(
                session.id,
                end: SessionEnd(reason: .exited, exitCode: -7, report: report),
                lowerBound: nil,
                claimant: claimant
            )
            #expect(first?.status == .stopped)
            #expect(first?.exitCode == -7)
            #expect(first?.usage?.stdoutBytes == 5)
            #expect(first?.usage?.memoryPeakMB == 10)
            let second = try await fixture.sessions.finish(
                session.id,
                end: end(.killed),
                lowerBound: nil,
                claimant: claimant
            )
            #expect(second == nil)
            #expect(try await fixture.sessions.session(session.id) == first)
        }
    }

    @Test func theEndIsNeverInTheFutureNorBeforeTheLastContact() async throws {
        try await StoreFixture.with { fixture in
            let claimant = fixture.claimant.description
            for (elapsed, lowerBound) in [(UInt64.max, nil), (0, Timestamp.now.adding(milliseconds: -1))] as [(UInt64, Timestamp?)] {
                let session = try await fixture.insertRunning()
                let report = ExitReport(processID: "main", cause: .exited, exitCode: 0, elapsedMicroseconds: elapsed)
                let ended = try #require(
                    try await fixture.sessions.finish(
                        session.id,
                        end: SessionEnd(reason: .exited, exitCode: 0, report: report),
                        lowerBound: lowerBound,
                        claimant: claimant
                    )
                )
                let endedAt = try #require(ended.endedAt)
                #expect(endedAt <= .now)
                #expect(endedAt >= lowerBound ?? session.createdAt)
            }
        }
    }

    @Test func aFailedSessionCostsNothing() async throws {
        try await StoreFixture.with { fixture in
            let session = try await fixture.insertRunning()
            let ended = try await fixture.sessions.finish(
                session.id,
                end: end(.backendLost),
                lowerBound: nil,
                claimant: fixture.claimant.description
            )
            #expect(ended?.usage?.costMicros == 0)
        }
    }

    @Test func theEnvironmentIsGoneOnceMainRuns() async throws {
        try await StoreFixture.with { fixture in
            let pending = try await fixture.insert()
            #expect(try await fixture.sessions.sealedEnvironment(pending.id) == [1, 2, 3])
            let running = try await fixture.insertRunning()
            #expect(try await fixture.sessions.sealedEnvironment(running.id) == nil)
        }
    }

    @Test func theFirstIntentWinsButAKillReplacesAStop() async throws {
        try await StoreFixture.with { fixture in
            let session = try await fixture.insertRunning()
            #expect(try await fixture.sessions.want(.stopped, error: nil, graceMs: 500, of: session.id)?.intent == .stopped)
            #expect(try await fixture.sessions.want(.timeout, error: "late", graceMs: nil, of: session.id)?.intent == .stopped)
            let killed = try await fixture.sessions.want(.killed, error: nil, graceMs: nil, of: session.id)
            #expect(killed?.intent == .killed)
            #expect(killed?.status == .stopping)
            #expect(killed?.stopGraceMs == 500)
            #expect(try await fixture.sessions.want(.stopped, error: nil, graceMs: nil, of: session.id)?.intent == .killed)
        }
    }

    @Test func theFirstBootIDStands() async throws {
        try await StoreFixture.with { fixture in
            let session = try await fixture.insert()
            #expect(try await fixture.sessions.settleBootID([1], of: session.sandboxID) == [1])
            #expect(try await fixture.sessions.settleBootID([2], of: session.sandboxID) == [1])
        }
    }

    @Test func onlySandboxesOfLivingSessionsAreWanted() async throws {
        try await StoreFixture.with { fixture in
            let living = try await fixture.insertRunning()
            let ended = try await fixture.insertRunning()
            _ = try await fixture.sessions.finish(
                ended.id,
                end: end(.exited),
                lowerBound: nil,
                claimant: fixture.claimant.description
            )
            let stranger = SandboxID.make(unixMilliseconds: 5)
            let unwanted = try await fixture.sessions.unwanted(among: [living.sandboxID, ended.sandboxID, stranger])
            #expect(Set(unwanted) == [ended.sandboxID, stranger])
            #expect(try await fixture.sessions.leftoverSandboxes(backend: "docker", node: "node-1") == [ended.sandboxID])
        }
    }

    @Test func aPatchedDeadlineCountsFromNowAndEndsAtTheMaximum() async throws {
        try await StoreFixture.with { fixture in
            let session = try await fixture.insertRunning(resources: Resources(timeoutMs: 1000))
            let started = try #require(session.startedAt)
            #expect(session.expiresAt == started.adding(milliseconds: 1000))
            let longer = try #require(
                try await fixture.sessions.patch(session.id, labels: ["a": "b"], timeoutMs: 60_000, maximumMs: nil)
            )
            #expect(try #require(longer.expiresAt) >= started.adding(milliseconds: 60_000))
            #expect(longer.labels == ["a": "b"])
            let capped = try #require(
                try await fixture.sessions.patch(session.id, labels: nil, timeoutMs: 60_000, maximumMs: 2000)
            )
            #expect(capped.expiresAt == started.adding(milliseconds: 2000))
            #expect(capped.labels == ["a": "b"])
        }
    }
}
