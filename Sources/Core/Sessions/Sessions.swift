import ExecboxAgentClient
import ExecboxModel
import ExecboxSandbox
import ExecboxWire

/// The rules of sessions: what may be asked for, and what a call means. Knows no transport; the driving is `SessionRunner`'s.
package struct Sessions: Sendable {
    private let services: SessionServices
    private let supervisor: SessionSupervisor

    package init(services: SessionServices, supervisor: SessionSupervisor) {
        self.services = services
        self.supervisor = supervisor
    }

    // MARK: Create

    /// Makes a session and waits for it: until it runs when its image is at hand, else not at all; or for `wait` seconds.
    ///
    /// - Returns: the session in whatever state it has; failures after the row exists are states, not errors.
    package func create(_ new: NewSession, by caller: Caller, wait: Int64?, idempotency: IdempotencyClaim? = nil) async throws -> Session {
        try check(new, caller.tier)
        let image: PreparedImage?
        do throws(BackendError) {
            // Either question finds out whether the backend answers, before there is a row.
            if new.pull == .always { try await services.backend.ping() }
            image = try await services.backend.imageAtHand(
                ImageSpec(name: new.image, pull: new.pull == .always ? .always : .missing))
        } catch {
            throw error.domainError
        }
        var session = try session(new, by: caller)
        if let image, session.settle(on: image) { session.status = .starting }
        let sealed = try services.seal.seal(new.environment.map { "\($0.name)=\($0.value)" }, for: session.id)
        let inserted = try await services.store.insert(
            session,
            keyID: caller.keyID,
            sealedEnvironment: sealed,
            claimant: services.settings.claimant.description,
            idempotency: idempotency
        ) { [resources = session.resources] in try $0.check(resources) }
        supervisor.start(new: inserted, image: image)
        let limit: Duration = wait.map { .seconds($0) } ?? (image == nil ? .zero : .seconds(120))
        return try await settled(inserted, within: limit)
    }

    /// What `create` answers when it is asked the same again.
    package func created(_ id: String, by caller: Caller, wait: Int64?) async throws -> Session {
        let session = try await session(id, of: caller)
        let isPulling = session.status == .pending || session.status == .building
        return try await settled(session, within: wait.map { .seconds($0) } ?? (isPulling ? .zero : .seconds(120)))
    }

    private func settled(_ session: Session, within limit: Duration) async throws -> Session {
        guard limit > .zero else { return session }
        let settled = try await services.watch.wait(for: session.id, until: .now + limit) {
            try await services.store.session(session.id).flatMap { $0.startedAt != nil || $0.status.isTerminal ? $0 : nil }
        }
        if let settled { return settled }
        return try await services.store.session(session.id) ?? session
    }

    private func check(_ new: NewSession, _ tier: Tier) throws {
        let capabilities = services.backend.capabilities
        if let backend = new.backend, backend != services.backend.name {
            throw ExecboxError.invalid("backend", "no backend \(backend) is configured here; there is \(services.backend.name)")
        }
        guard capabilities.networks.contains(new.network) else {
            let why = capabilities.networkRefusal.map { ": \($0)" } ?? ""
            throw ExecboxError(
                .notImplemented,
                "network \(new.network.rawValue) is not offered by this server\(why)",
                details: ["field": .text("network")]
            )
        }
        if new.ports.contains(where: { $0.transport == .udp }), !capabilities.publishesUDP {
            throw ExecboxError(.notImplemented, "this backend publishes no UDP ports", details: ["field": .text("ports")])
        }
        if let cpu = new.cpuMillis, cpu > capabilities.cpuCount * 1000 {
            throw ExecboxError.invalid(
                "resources.cpuMillis",
                "this host has \(capabilities.cpuCount * 1000) cpuMillis, \(cpu) were asked for"
            )
        }
        let limits: [(String, Int64?)] = [
            ("diskReadBps", new.diskReadBps), ("diskWriteBps", new.diskWriteBps), ("diskReadIops", new.diskReadIops),
            ("diskWriteIops", new.diskWriteIops),
        ]
        if let limit = limits.first(where: { $0.1 != nil }), !capabilities.limitsDiskIO {
            throw ExecboxError(
                .notImplemented,
                "this host's cgroups do not limit buffered disk I/O, so \(limit.0) would be a promise only",
                details: ["field": .text("resources.\(limit.0)")]
            )
        }
        let ofTier: [(name: String, wanted: Int64?, most: Int64?)] = [
            ("timeoutMs", new.timeoutMs, tier.maxDurationMs), ("memoryMB", new.memoryMB.map(Int64.init), tier.maxMemoryMB.map(Int64.init)),
            ("cpuMillis", new.cpuMillis.map(Int64.init), tier.maxCPUMillis.map(Int64.init)),
        ]
        for (name, wanted, most) in ofTier {
            guard let wanted, let most, wanted > most else { continue }
            throw ExecboxError.invalid(
                "resources.\(name)", "resources.\(name) is \(wanted), the maximum of the tier \(tier.name) is \(most)")
        }
    }

    private func session(_ new: NewSession, by caller: Caller) throws -> Session {
        let now = Timestamp.now
        let milliseconds = UInt64(clamping: now.unixMicroseconds / 1000)
        return Session(
            id: .make(unixMilliseconds: milliseconds),
            accountID: caller.accountID,
            sandboxID: .make(unixMilliseconds: milliseconds),
            backend: services.backend.name,
            node: services.settings.node,
            status: .pending,
            image: new.image,
            pull: new.pull.rawValue,
            command: new.command,
            environmentNames: new.environment.map(\.name),
            workDir: new.workDir ?? "",
            user: new.user ?? "",
            labels: new.labels,
            resources: Resources(
                cpuMillis: new.cpuMillis ?? min(1000, services.backend.capabilities.cpuCount * 1000, caller.tier.maxCPUMillis ?? .max),
                memoryMB: new.memoryMB ?? min(512, caller.tier.maxMemoryMB ?? .max),
                diskMB: new.diskMB ?? 1024,
                pids: new.pids ?? 256,
                timeoutMs: new.timeoutMs ?? caller.tier.maxDurationMs,
                idleTimeoutMs: new.idleTimeoutMs,
                diskReadBps: new.diskReadBps,
                diskWriteBps: new.diskWriteBps,
                diskReadIops: new.diskReadIops,
                diskWriteIops: new.diskWriteIops
            ),
            network: new.network,
            ports: new.ports.map { Session.Port(spec: $0) },
            terminal: new.terminal,
            opensStdin: new.opensStdin,
            createdAt: now,
            lastActiveAt: now
        )
    }

    // MARK: Read

    /// - Throws: `notFound`, for a session of another account just as for none.
    package func session(_ id: String, of caller: Caller) async throws -> Session {
        guard let parsed = SessionID(id), let session = try await services.store.session(parsed, account: caller.accountID) else {
            throw Self.notFound(id)
        }
        return session
    }

    /// As `session`, with the row's version: what is rendered from it can be kept until that changes.
    package func versioned(_ id: String, of caller: Caller) async throws -> SessionReader.Versioned {
        guard let parsed = SessionID(id), let found = try await services.reader.session(parsed), found.session.accountID == caller.accountID
        else { throw Self.notFound(id) }
        return found
    }

    static func notFound(_ id: String) -> ExecboxError { ExecboxError(.notFound, "no session \(id.prefix(64))") }

    package struct Page: Sendable {
        package var sessions: [Session]
        /// Nil on the last page.
        package var nextCursor: String?
    }

    /// Newest first. A cursor is the last id of the page before; it stays good whatever is created or ends meanwhile.
    package func list(
        of caller: Caller,
        statuses: [SessionStatus],
        labels: [String: String],
        cursor: String?,
        limit: Int
    ) async throws -> Page {
        var before: SessionID?
        if let cursor {
            guard let id = SessionID(cursor) else { throw ExecboxError.invalid("cursor", "cursor is not one that this server made") }
            before = id
        }
        var sessions = try await services.store.list(
            account: caller.accountID,
            statuses: statuses,
            labels: labels,
            before: before,
            limit: limit + 1
        )
        let hasMore = sessions.count > limit
        if hasMore { sessions.removeLast() }
        return Page(sessions: sessions, nextCursor: hasMore ? sessions.last?.id.description : nil)
    }

    /// The session as soon as it has ended, or as it is when the time is up.
    package func wait(_ id: String, of caller: Caller, timeoutMs: Int64) async throws -> Session {
        let session = try await session(id, of: caller)
        let ended = try await ended(session.id, until: .now + .milliseconds(timeoutMs))
        if let ended { return ended }
        return try await self.session(id, of: caller)
    }

    /// The ended session, or nil when `deadline` comes first.
    package func ended(_ id: SessionID, until deadline: ContinuousClock.Instant?) async throws -> Session? {
        try await services.watch.wait(for: id, until: deadline) {
            try await services.store.session(id).flatMap { $0.status.isTerminal ? $0 : nil }
        }
    }

    /// The session once main runs or it has ended.
    package func settled(_ id: SessionID) async throws -> Session {
        let settled = try await services.watch.wait(for: id) {
            try await services.store.session(id).flatMap { $0.startedAt != nil || $0.status.isTerminal ? $0 : nil }
        }
        guard let settled else { throw Self.notFound(id.description) }
        return settled
    }

    package func statistics(_ id: String, of caller: Caller) async throws -> SandboxStatistics {
        let session = try await running(id, of: caller)
        guard case .statistics(let statistics) = try await request(.stats, of: session) else {
            throw ExecboxError(.internal, "internal error", privateDetail: "the agent answered stats with another message")
        }
        return statistics
    }

    // MARK: Change

    /// A new deadline counts from now and ends at the tier's maximum after the start; labels are replaced as a whole.
    package func patch(_ id: String, of caller: Caller, labels: [String: String]?, timeoutMs: Int64?) async throws -> Session {
        let session = try await session(id, of: caller)
        let changed = try await services.store.patch(
            session.id,
            labels: labels,
            timeoutMs: timeoutMs,
            maximumMs: caller.tier.maxDurationMs
        )
        guard let changed else { throw Self.alreadyEnded(session) }
        services.watch.changed(session.id)
        return changed
    }

    /// Stops gracefully and returns the ended session; joins a stop that is under way.
    ///
    /// - Throws: `conflict` if it had ended before the call.
    package func stop(_ id: String, of caller: Caller, graceMs: Int64, idempotency: IdempotencyClaim? = nil) async throws -> Session {
        try await end(id, of: caller, .stopped, graceMs: graceMs, idempotency: idempotency)
    }

    /// What `stop` answers when it is asked the same again.
    package func stopping(_ id: String, of caller: Caller) async throws -> Session {
        try await ended(after: try await session(id, of: caller))
    }

    /// Kills at once and returns the ended session; escalates a stop that is under way.
    ///
    /// - Throws: `conflict` if it had ended before the call.
    package func kill(_ id: String, of caller: Caller) async throws -> Session {
        try await end(id, of: caller, .killed, graceMs: nil)
    }

    private func end(_ id: String, of caller: Caller, _ intent: StopIntent, graceMs: Int64?, idempotency: IdempotencyClaim? = nil)
        async throws -> Session
    {
        let session = try await session(id, of: caller)
        let wanted =
            session.status.isTerminal
            ? nil
            : try await services.store.want(intent, error: nil, graceMs: graceMs, of: session.id, idempotency: idempotency)
        guard wanted != nil else {
            throw Self.alreadyEnded(session)
        }
        services.watch.changed(session.id)
        // Another host's sessions are its own server's to end.
        if session.node == services.settings.node { supervisor.start(session.id) }
        return try await ended(after: session)
    }

    private func ended(after session: Session) async throws -> Session {
        guard let ended = try await ended(session.id, until: .now + .seconds(120)) else {
            throw ExecboxError.unavailable("the sandbox backend", detail: "\(session.id) did not end in time")
        }
        return ended
    }

    private static func alreadyEnded(_ session: Session) -> ExecboxError {
        ExecboxError(.conflict, "session already \(session.status.isTerminal ? session.status.rawValue : "ended")")
    }

    // MARK: Agent

    /// The session, running: what needs its agent can go on.
    ///
    /// - Throws: `conflict` in any other state.
    package func running(_ id: String, of caller: Caller) async throws -> Session {
        let session = try await session(id, of: caller)
        guard session.status == .running || session.status == .stopping else {
            throw ExecboxError(.conflict, "session is \(session.status.rawValue), not running")
        }
        services.activity.touch(session.id)
        return session
    }

    /// One request to the session's agent; its refusals come as `AgentFailure`.
    func request(_ message: AgentMessage, of session: Session) async throws -> AgentMessage {
        let link = try await services.link(to: session)
        do {
            return try await link.request(message)
        } catch {
            throw try await failure(error, of: session)
        }
    }

    /// What a lost or refusing agent means: the session may have ended meanwhile.
    package func failure(_ error: AgentLinkError, of session: Session) async throws -> any Error {
        switch error {
        case .refused(let failure): return failure
        case .cancelled: return CancellationError()
        default:
            if let now = try await services.store.session(session.id), now.status.isTerminal {
                return ExecboxError(.conflict, "session is \(now.status.rawValue), not running")
            }
            return ExecboxError.unavailable("the sandbox's agent", detail: "\(error)")
        }
    }
}
