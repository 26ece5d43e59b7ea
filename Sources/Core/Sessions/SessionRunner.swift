import ExecboxAgentClient
import ExecboxModel
import ExecboxSandbox
import ExecboxWire
import Logging
import Synchronization

/// Drives one session of this host from whatever its row says to its end.
///
/// Holds the session's claim meanwhile. Every step can be repeated: a runner that starts over after a crash, here or in another process,
/// finds a half-done step in row, backend and agent and finishes it.
struct SessionRunner {
    private static let defaultGraceMs: Int64 = 10_000

    /// The claim is another process's by now, or the session has ended elsewhere.
    private struct Superseded: Error {}

    private struct Contact {
        var isStopSignaled = false
        /// The last moment at which the agent was heard.
        var last: Timestamp?
    }

    let id: SessionID
    let services: SessionServices
    private let prepared: Latest<PreparedImage?>
    private let claimed: Session?

    /// - Parameters:
    ///   - image: the session's, if it is at hand.
    ///   - claimed: the session, if this process has just claimed it.
    init(id: SessionID, services: SessionServices, image: PreparedImage? = nil, claimed: Session? = nil) {
        self.id = id
        self.services = services
        self.claimed = claimed
        prepared = Latest(image)
    }

    private var store: SessionStore { services.store }
    private var claimant: String { services.settings.claimant.description }
    private var log: Logger {
        var log = services.log
        log[metadataKey: "session"] = "\(id)"
        return log
    }

    /// Returns when the session has ended and its sandbox is gone, or when the claim is lost; throws only `CancellationError`.
    func run(takingOverFrom deadClaimant: String? = nil) async throws {
        var pause = Duration.milliseconds(100)
        var claimed = claimed
        while true {
            try Task.checkCancellation()
            do {
                if claimed == nil { claimed = try await store.claim(id, by: claimant, from: deadClaimant) }
                guard let session = claimed.take() else { return }
                try await drive(session)
                return
            } catch is CancellationError {
                throw CancellationError()
            } catch is Superseded {
                return
            } catch {
                // The database names a cancellation in words of its own.
                try Task.checkCancellation()
                // Database or engine are away: the row stands, so does the sandbox.
                log.warning("A session's step failed, it is tried again", metadata: ["error": "\(error)"])
                try await Task.sleep(for: pause)
                pause = min(pause * 2, .seconds(5))
            }
        }
    }

    /// Drives while the claim is renewed; ends when either does.
    private func drive(_ session: Session) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.renewClaim() }
            group.addTask { try await self.advance(session) }
            try await group.next()
            group.cancelAll()
        }
    }

    private func renewClaim() async throws {
        while true {
            try await Task.sleep(for: .milliseconds(store.claimSeconds * 1000 / 3))
            do {
                guard try await store.renewClaim(id, by: claimant) else { throw Superseded() }
            } catch let error as Superseded {
                throw error
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                log.debug("Renewing a claim failed", metadata: ["error": "\(error)"])
            }
        }
    }

    private func advance(_ first: Session) async throws {
        var session = first
        while true {
            switch session.status {
            case .pending, .building: try await prepareImage(session)
            case .starting: try await start(session)
            case .running, .stopping: try await runMain(session)
            case .stopped, .killed, .failed: return await cleanUp(session)
            }
            guard let next = try await store.session(id) else { throw Superseded() }
            session = next
        }
    }

    // MARK: Image

    private func prepareImage(_ session: Session) async throws {
        var lifecycle = session.lifecycle
        if let intent = session.intent { return try await end(session, cancelledBy: intent) }
        let spec = ImageSpec(name: session.image, pull: ImageSpec.PullPolicy(rawValue: session.pull) ?? .missing)
        do throws(BackendError) {
            if let image = prepared.withLock({ $0 }) { return try await settle(session, image) }
            if let image = try await services.backend.imageAtHand(spec) { return try await settle(session, image) }
            // A server that died while it pulled left the session building.
            if lifecycle.handle(.imageNeeded) == .prepareImage || session.status == .building {
                // Somebody wants the session's end: its row says so.
                guard try await pull(session, spec) else { return }
            }
            try await settle(session, try await services.backend.prepare(ImageSpec(name: session.image)) { _ in })
        } catch {
            switch error {
            case .imageNotFound, .imageRejected, .invalidSpec: try await apply(.imageFailed(error.sentence), to: session)
            case .unavailable, .rateLimited, .noCapacity: try await waitOrGiveUp(session, error)
            case .notSupported, .notFound, .internal: try await apply(.startFailed(error.sentence), to: session)
            }
        }
    }

    /// Pulls, showing progress in the row.
    ///
    /// - Returns: false if it was ended early, since somebody wants the session's end.
    private func pull(_ session: Session, _ spec: ImageSpec) async throws(BackendError) -> Bool {
        let progress = Latest("pulling \(spec.name)")
        do {
            return try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    _ = try await services.backend.prepare(spec) { line in progress.withLock { $0 = line } }
                    return true
                }
                group.addTask {
                    var shown = ""
                    while true {
                        let line = progress.withLock { $0 }
                        if line != shown {
                            guard try await store.setProgress(id, status: .building, progress: line, claimant: claimant) else {
                                throw Superseded()
                            }
                            shown = line
                        }
                        let wanted = try await services.watch.wait(for: id, until: .now + .milliseconds(500)) {
                            try await store.session(id)?.intent
                        }
                        if wanted != nil { return false }
                    }
                }
                defer { group.cancelAll() }
                return try await group.next() ?? true
            }
        } catch let error as BackendError {
            throw error
        } catch {
            throw .unavailable("\(error)")
        }
    }

    private func settle(_ session: Session, _ image: PreparedImage) async throws(BackendError) {
        var session = session
        do {
            if session.settle(on: image) {
                guard try await store.setImage(session, claimant: claimant) else { throw Superseded() }
                prepared.withLock { $0 = image }
            } else {
                try await apply(.imageFailed("the image names no command and none was given"), to: session)
            }
        } catch {
            throw .unavailable("\(error)")
        }
    }

    private func waitOrGiveUp(_ session: Session, _ error: BackendError) async throws {
        let age = Timestamp.now.unixMicroseconds - session.createdAt.unixMicroseconds
        if age > services.settings.startLimit.microseconds {
            try await apply(.startFailed("did not run in time: \(error.sentence)"), to: session)
        } else {
            throw error
        }
    }

    // MARK: Start

    private func start(_ session: Session) async throws {
        if let intent = session.intent { return try await end(session, cancelledBy: intent) }
        do {
            // After a restart of the server the row alone knows which image was meant.
            let image =
                if let image = prepared.withLock({ $0 }) { image } else {
                    try await services.backend.prepare(ImageSpec(name: session.image, digest: session.imageDigest)) { _ in }
                }
            let spec = SandboxSpec(
                sandboxID: session.sandboxID,
                sessionID: id,
                image: image,
                resources: session.resources,
                network: session.network,
                ports: session.ports.map(\.spec)
            )
            if let expected = try await services.backend.expect(session.sandboxID) {
                _ = try await services.links.open(session.sandboxID, transport: expected)
            }
            let ref = try await services.backend.create(spec)
            let link = try await services.links.open(session.sandboxID, transport: services.backend.connect(ref))
            // Side by side: a caller waits for all of this.
            async let isNoted: Void = store.setBackendID(ref.backendID, of: session.sandboxID)
            async let sealed = store.sealedEnvironment(id)
            let hello = try await link.hello(timeout: .seconds(30))
            try await isNoted
            guard try await store.settleBootID(hello.bootID, of: session.sandboxID) == hello.bootID else { throw AgentLinkError.otherBoot }
            link.expectBootID(hello.bootID)
            let environment = try await sealed.map { try services.seal.open($0, for: id) } ?? []
            let elapsed = try await startMain(session, environment, image: image, link: link, isRepeated: hello.mainStarted)
            async let isRenewed: Void = renewDeadline(session, link)
            let published = session.network == .exposed ? try await services.backend.ports(ref) : []
            let ports = session.ports.map { port in
                let match = published.first { $0.container == port.spec.container && $0.transport == port.spec.transport }
                return Session.Port(spec: port.spec, hostPort: match?.hostPort)
            }
            guard try await store.setRunning(id, ports: ports, elapsedMicroseconds: elapsed, claimant: claimant) != nil else {
                throw Superseded()
            }
            services.watch.changed(id)
            try await isRenewed
        } catch let error as BackendError {
            switch error {
            case .unavailable, .rateLimited, .noCapacity: try await waitOrGiveUp(session, error)
            case .imageNotFound, .imageRejected: try await apply(.imageFailed(error.sentence), to: session)
            case .invalidSpec, .notSupported, .notFound, .internal: try await apply(.startFailed(error.sentence), to: session)
            }
        } catch let error as AgentLinkError {
            switch error {
            case .refused(let failure): try await apply(.startFailed(failure.message), to: session)
            case .otherBoot: try await apply(.sandboxLost(outOfMemory: false), to: session)
            case .cancelled: throw CancellationError()
            case .protocolViolation, .unsupported, .incompatible: try await apply(.startFailed("\(error)"), to: session)
            case .notConnected, .timeout, .connectionLost, .closed, .cannotListen:
                let state = try await services.backend.state(SandboxRef(sandboxID: session.sandboxID))
                if case .exited(_, let outOfMemory) = state {
                    try await apply(.sandboxLost(outOfMemory: outOfMemory), to: session)
                } else {
                    try await waitOrGiveUp(session, .unavailable("\(error)"))
                }
            }
        }
    }

    /// Asks the agent for main; a second time it only learns that main is there. Returns for how long main has been running, in µs.
    private func startMain(
        _ session: Session, _ own: [String], image: PreparedImage, link: AgentLink, isRepeated: Bool
    ) async throws -> Int64 {
        let ring = services.settings.ringBytes(memoryMB: session.resources.memoryMB)
        let request = StartRequest(
            processID: AgentMessage.mainProcessID,
            arguments: session.command,
            environment: Self.merge(image.environment, own),
            workingDirectory: session.workDir,
            createsWorkingDirectory: true,
            user: session.user,
            terminal: session.terminal.map { .init(columns: $0.columns, rows: $0.rows) },
            opensStdin: session.opensStdin,
            bufferBytes: UInt32(ring),
            headBytes: UInt64(services.settings.headBytes),
            isRetained: true,
            flow: .detached,
            sendsStdin: false
        )
        _ = try await link.request(.start(request), timeout: .seconds(30))
        guard isRepeated, case .processes(let list) = try await link.request(.list) else { return 0 }
        let elapsed = list.first { $0.processID == AgentMessage.mainProcessID }?.elapsedMicroseconds ?? 0
        // An agent that lies about its past may not bill for more than the sandbox has existed.
        return min(Int64(clamping: elapsed), max(0, Timestamp.now.unixMicroseconds - session.createdAt.unixMicroseconds))
    }

    /// Later values win; the image's order is kept.
    private static func merge(_ base: [String], _ own: [String]) -> [String] {
        func name(_ pair: String) -> Substring { pair.prefix { $0 != "=" } }
        let names = Set(own.map(name))
        return base.filter { !names.contains(name($0)) } + own
    }

    /// When no server is heard for so long, the agent ends everything by itself: nothing bills for ever.
    private func renewDeadline(_ session: Session, _ link: AgentLink) async throws {
        let left = session.expiresAt.map { max(0, $0.unixMicroseconds - Timestamp.now.unixMicroseconds) / 1_000_000 }
        let seconds = (left ?? session.resources.timeoutMs.map { $0 / 1000 } ?? 24 * 3600) + 900
        _ = try await link.request(.setDeadline(seconds: UInt32(clamping: seconds)))
    }

    // MARK: Running

    private enum Outcome: Sendable {
        case mainEnded(ExitReport)
        case lost(outOfMemory: Bool)
    }

    private func runMain(_ session: Session) async throws {
        let link: AgentLink
        do {
            link = try await services.link(to: session)
            if let boot = try await store.bootID(of: session.sandboxID) { link.expectBootID(boot) }
        } catch let error as ExecboxError where error.code != .unavailable {
            // The container is not running: the backend knows how it ended.
            return try await finishLost(session, contact: Contact())
        }
        let contact = Latest(Contact(isStopSignaled: session.stopSignaledAt != nil))
        let outcome = try await withThrowingTaskGroup(of: Outcome.self) { group in
            group.addTask {
                let recorder = Recorder(session: session, link: link, services: services)
                do {
                    return .mainEnded(try await recorder.run { contact.withLock { $0.last = .now } })
                } catch is Recorder.Replaced {
                    throw Superseded()
                } catch AgentLinkError.otherBoot {
                    return .lost(outOfMemory: false)
                } catch AgentLinkError.cancelled {
                    throw CancellationError()
                }
            }
            group.addTask { .lost(outOfMemory: try await watchSandbox(session, link)) }
            group.addTask { .lost(outOfMemory: try await enforce(session, link, contact)) }
            defer { group.cancelAll() }
            guard let first = try await group.next() else { throw CancellationError() }
            guard case .lost = first else { return first }
            // Main's report may be on its way through the socket still.
            group.addTask {
                try await Task.sleep(for: .seconds(1))
                return first
            }
            while let next = try await group.next() {
                if case .mainEnded = next { return next }
                if case .lost = next { return next }
            }
            return first
        }
        var last = contact.withLock { $0 }
        switch outcome {
        case .mainEnded(let report):
            // The intent may have come while main ended by itself.
            guard let now = try await store.session(id) else { throw Superseded() }
            var lifecycle = now.lifecycle
            if last.isStopSignaled { _ = lifecycle.handle(.stopSignaled) }
            try await carryOut(lifecycle.handle(.mainEnded(report)), now, lowerBound: last.last)
        case .lost:
            last.last = last.last ?? session.startedAt
            try await finishLost(session, contact: last)
        }
    }

    private func finishLost(_ session: Session, contact: Contact) async throws {
        var outOfMemory = false
        if case .exited(_, let isOutOfMemory) = try await services.backend.state(SandboxRef(sandboxID: session.sandboxID)) {
            outOfMemory = isOutOfMemory
        }
        guard let now = try await store.session(id) else { throw Superseded() }
        var lifecycle = now.lifecycle
        try await carryOut(lifecycle.handle(.sandboxLost(outOfMemory: outOfMemory)), now, lowerBound: contact.last)
    }

    /// Returns, with whether memory was the cause, once the backend says twice that the sandbox does not run.
    private func watchSandbox(_ session: Session, _ link: AgentLink) async throws -> Bool {
        let ref = SandboxRef(sandboxID: session.sandboxID)
        var wasGone = false
        while true {
            do {
                let state = try await services.backend.state(ref)
                switch state {
                case .exited(_, let outOfMemory):
                    if wasGone { return outOfMemory }
                    wasGone = true
                case .gone:
                    if wasGone { return false }
                    wasGone = true
                case .starting, .running: wasGone = false
                }
            } catch {
                // An engine that does not answer says nothing about its sandboxes.
                log.debug("Asking for a sandbox's state failed", metadata: ["error": "\(error)"])
            }
            let interval: Duration = wasGone ? .milliseconds(200) : link.isConnected ? .seconds(4) : .seconds(1)
            try await Task.sleep(for: interval)
        }
    }

    /// Carries out intents and sets those that the clock brings. Returns only when the sandbox had to be destroyed to end main.
    private func enforce(_ session: Session, _ link: AgentLink, _ contact: Latest<Contact>) async throws -> Bool {
        var stopAskedAt: ContinuousClock.Instant?
        var killAskedAt: ContinuousClock.Instant?
        var renewAt = ContinuousClock.now + .seconds(300)
        while true {
            guard let now = try await store.session(id), !now.status.isTerminal else { throw Superseded() }
            if let due = dueIntent(now) {
                _ = try await store.want(due.intent, error: due.error, graceMs: nil, of: id)
                continue
            }
            switch now.intent {
            case nil: break
            case .stopped?:
                if !contact.withLock({ $0.isStopSignaled }) {
                    let since = stopAskedAt ?? .now
                    stopAskedAt = since
                    if try await signalStop(now, link, contact) {
                        try await store.setStopSignaled(id, claimant: claimant)
                    } else if since.duration(to: .now) > .milliseconds(now.stopGraceMs ?? Self.defaultGraceMs) {
                        // Main could not be asked to stop: after the grace there is nothing left to be polite to.
                        return try await destroy(now)
                    }
                }
            default:
                let asked = killAskedAt ?? .now
                if killAskedAt == nil {
                    killAskedAt = asked
                    do {
                        _ = try await link.request(.shutdown(signal: "SIGKILL", graceMs: 0), timeout: .milliseconds(500))
                    } catch {
                        if error == .cancelled { throw CancellationError() }
                        return try await destroy(now)
                    }
                }
                // Every process is dead by now, unless the agent does not do as it is told.
                if asked.duration(to: .now) > .seconds(5) { return try await destroy(now) }
            }
            if ContinuousClock.now >= renewAt {
                try? await renewDeadline(now, link)
                renewAt = .now + .seconds(300)
            }
            try await sleepUntilDue(now, isEnding: now.intent != nil)
        }
    }

    /// Whether the agent has taken the order; it kills by itself when the grace is over, also without us.
    private func signalStop(_ session: Session, _ link: AgentLink, _ contact: Latest<Contact>) async throws -> Bool {
        let grace = UInt32(clamping: session.stopGraceMs ?? Self.defaultGraceMs)
        // Told before it is done: main's end may be reported while the answer is still on its way.
        contact.withLock { $0.isStopSignaled = true }
        do {
            _ = try await link.request(.shutdown(signal: session.stopSignal ?? "SIGTERM", graceMs: grace))
            return true
        } catch {
            if error == .cancelled { throw CancellationError() }
            contact.withLock { $0.isStopSignaled = false }
            return false
        }
    }

    private func destroy(_ session: Session) async throws -> Bool {
        try await services.backend.destroy(SandboxRef(sandboxID: session.sandboxID))
        return false
    }

    private func dueIntent(_ session: Session) -> (intent: StopIntent, error: String)? {
        guard session.intent == nil else { return nil }
        if let expiresAt = session.expiresAt, expiresAt <= .now {
            return (.timeout, "the session's time of \(session.resources.timeoutMs ?? 0) ms is over")
        }
        if let limit = session.resources.idleTimeoutMs, idleMilliseconds(session) >= limit {
            return (.idleTimeout, "nothing happened for \(limit) ms")
        }
        return nil
    }

    private func idleMilliseconds(_ session: Session) -> Int64 {
        let stored = (Timestamp.now.unixMicroseconds - session.lastActiveAt.unixMicroseconds) / 1000
        guard let own = services.activity.idleTime(id) else { return stored }
        return min(stored, own.microseconds / 1000)
    }

    /// Until the row changes, or the next thing that the clock brings.
    private func sleepUntilDue(_ session: Session, isEnding: Bool) async throws {
        var milliseconds: Int64 = isEnding ? 500 : 5000
        if let expiresAt = session.expiresAt, session.intent == nil {
            milliseconds = min(milliseconds, max(1, (expiresAt.unixMicroseconds - Timestamp.now.unixMicroseconds) / 1000 + 1))
        }
        if let limit = session.resources.idleTimeoutMs, session.intent == nil {
            milliseconds = min(milliseconds, max(10, limit - idleMilliseconds(session) + 1))
        }
        let seen = RowVersion(session)
        _ = try await services.watch.wait(for: id, until: .now + .milliseconds(milliseconds)) {
            guard let now = try await store.session(id) else { return true }
            return RowVersion(now) == seen ? nil : true
        }
    }

    /// What `enforce` acts on.
    private struct RowVersion: Equatable {
        var status: SessionStatus
        var intent: StopIntent?
        var expiresAt: Timestamp?

        init(_ session: Session) {
            status = session.status
            intent = session.intent
            expiresAt = session.expiresAt
        }
    }

    // MARK: End

    private func end(_ session: Session, cancelledBy intent: StopIntent) async throws {
        var lifecycle = SessionLifecycle(status: session.status)
        try await carryOut(lifecycle.handle(.stopWanted(intent, error: session.intentError)), session, lowerBound: nil)
    }

    private func apply(_ event: SessionLifecycle.Event, to session: Session) async throws {
        guard let now = try await store.session(id) else { throw Superseded() }
        var lifecycle = now.lifecycle
        try await carryOut(lifecycle.handle(event), now, lowerBound: nil)
    }

    private func carryOut(_ action: SessionLifecycle.Action, _ session: Session, lowerBound: Timestamp?) async throws {
        guard case .finish(let end) = action else { return }
        guard
            try await store.finish(
                id,
                end: end,
                lowerBound: lowerBound,
                claimant: claimant
            ) != nil
        else { throw Superseded() }
        log.info("Session ended", metadata: ["reason": "\(end.reason)", "exitCode": "\(end.exitCode.map(String.init) ?? "-")"])
        services.watch.changed(id)
    }

    /// After the terminal commit only: the agent may go, and the sandbox with it. What fails here is the reconciler's.
    private func cleanUp(_ session: Session) async {
        services.activity.forget(id)
        if let link = services.links.link(for: session.sandboxID) {
            _ = try? await link.request(.dismiss, timeout: .milliseconds(500))
        }
        do {
            try await services.backend.destroy(SandboxRef(sandboxID: session.sandboxID))
            try await store.setDestroyed(session.sandboxID)
        } catch {
            log.warning("A sandbox could not be destroyed yet", metadata: ["error": "\(error)"])
        }
        await services.links.close(session.sandboxID)
    }
}
