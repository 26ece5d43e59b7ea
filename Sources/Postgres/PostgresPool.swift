import Logging
import ServiceLifecycle
import Synchronization

/// A bounded set of connections, lent for the length of a closure.
///
/// It connects only while `run()` runs. While the server is away, leases fail at once with `.unavailable` and the pool goes on trying; nobody
/// has to do anything when the server is back. Statements are never repeated, with two exceptions: a connection found dead before anything
/// was sent is replaced, and `withTransaction` repeats what was declared repeatable.
package final class PostgresPool: PostgresQuerying, Service {
    private let configuration: PostgresConfiguration
    private let settings: Configuration
    private let logger: Logger
    private let state: Mutex<State>
    private let commands: AsyncStream<Command>

    // Holds at most one open and one close for each connection, so it is bounded by their number.
    private let commandQueue: AsyncStream<Command>.Continuation

    fileprivate struct State {
        var machine: PoolStateMachine
        var connections: [PoolStateMachine.ConnectionID: PostgresConnection] = [:]
        var waiters: [PoolStateMachine.WaiterID: Waiter] = [:]
        var lastFailure: PostgresError?
        var isRunning = false
    }

    /// Who waits is registered before he sleeps; the answer can come in between.
    fileprivate enum Waiter {
        case registered
        case asleep(CheckedContinuation<Result<Lease, PostgresError>, Never>)
        case answered(Result<Lease, PostgresError>)
    }

    fileprivate struct Lease: Sendable {
        let id: PoolStateMachine.ConnectionID
        let connection: PostgresConnection
        var validate = false
    }

    fileprivate enum Command: Sendable {
        case open(PoolStateMachine.ConnectionID, after: Duration)
        case close(PostgresConnection)
        case finish
    }

    fileprivate enum Effect {
        case resume(CheckedContinuation<Result<Lease, PostgresError>, Never>, Result<Lease, PostgresError>)
        case command(Command)
    }

    /// Connects to nothing yet: that is `run()`'s.
    package init(_ configuration: PostgresConfiguration, settings: Configuration = Configuration(), logger: Logger) {
        self.configuration = configuration
        self.settings = settings
        self.logger = logger
        self.state = Mutex(State(machine: PoolStateMachine(settings)))
        (self.commands, self.commandQueue) = AsyncStream.makeStream()
    }

    /// A pool that runs as long as `body` does.
    package static func with<Value: Sendable>(
        _ configuration: PostgresConfiguration, settings: Configuration = Configuration(), logger: Logger,
        _ body: @Sendable (PostgresPool) async throws -> Value
    ) async throws -> Value {
        let pool = PostgresPool(configuration, settings: settings, logger: logger)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            let value: Value
            do {
                value = try await body(pool)
            } catch {
                pool.shutdown()
                throw error
            }
            pool.shutdown()
            try await group.waitForAll()
            return value
        }
    }

    /// Makes and keeps connections until the task is cancelled, which closes those that are out as they come back, or a graceful shutdown
    /// is triggered, which waits for them. New leases throw `.closed` from then on. Can be called once; throws `.closed` the second time.
    package func run() async throws {
        let isFirst = self.state.withLock { state in
            defer { state.isRunning = true }
            return !state.isRunning
        }
        guard isFirst else { throw PostgresError(.closed, "the pool was run before") }
        await withTaskCancellationOrGracefulShutdownHandler {
            self.perform { $0.machine.start() }
            await withDiscardingTaskGroup { group in
                group.addTask { await self.keepHouse() }
                loop: for await command in self.commands {
                    switch command {
                    case .open(let id, let delay): group.addTask { await self.open(id, after: delay) }
                    case .close(let connection): group.addTask { await connection.close() }
                    case .finish: break loop
                    }
                }
                group.cancelAll()
            }
            // Whatever was made in the last moment is closed as well; later commands find the queue finished and are dropped.
            self.commandQueue.finish()
            for await case .close(let connection) in self.commands { await connection.close() }
        } onCancelOrGracefulShutdown: {
            self.shutdown()
        }
    }

    /// Refuses new leases; `run()` returns once those that are out are back.
    package func shutdown() {
        self.perform { $0.machine.shutdown() }
    }

    /// The pool at this moment.
    package var statistics: Statistics { self.state.withLock { $0.machine.statistics } }

    // MARK: - Leases

    /// Lends a connection to `body`, which must not keep it. What `body` changes about the session (SET, LISTEN, advisory locks) it must
    /// undo; an open transaction is rolled back.
    ///
    /// Throws `.unavailable`, `.exhausted`, `.closed` or `.cancelled` without having called `body`.
    package func withConnection<Value>(
        isolation: isolated (any Actor)? = #isolation, _ body: (PostgresConnection) async throws -> sending Value
    ) async throws -> sending Value {
        let lease = try await self.lease()
        do {
            let value = try await body(lease.connection)
            await self.release(lease)
            return value
        } catch {
            await self.release(lease)
            throw error
        }
    }

    /// Runs one statement on a connection of its own choice.
    package func run(_ sql: SQL, timeout: Duration? = nil) async throws(PostgresError) -> PostgresResult {
        let lease = try await self.lease()
        do throws(PostgresError) {
            let result = try await lease.connection.run(sql, timeout: timeout)
            await self.release(lease)
            return result
        } catch {
            await self.release(lease)
            throw error
        }
    }

    private func lease() async throws(PostgresError) -> Lease {
        if Task.isCancelled { throw PostgresError(.cancelled, "cancelled before a connection was asked for") }
        let deadline = ContinuousClock.now + self.settings.leaseTimeout
        var wasDead = false
        while true {
            let lease = try await self.acquire(until: deadline, first: wasDead)
            if await self.isUsable(lease) { return lease }
            self.perform { $0.machine.released(lease.id, now: .now, reusable: false) }
            wasDead = true
        }
    }

    private func isUsable(_ lease: Lease) async -> Bool {
        guard lease.connection.isOpen else { return false }
        if !lease.validate, lease.connection.isQuiet() { return true }
        // A server behind a dead network does not answer; two seconds are enough for one that lives.
        return (try? await lease.connection.runUninterrupted("SELECT 1", timeout: .seconds(2))) != nil
    }

    private func acquire(until deadline: ContinuousClock.Instant, first: Bool) async throws(PostgresError) -> Lease {
        let (answer, effects): (Result<Lease, PostgresError>?, [Effect])
        var waiter: PoolStateMachine.WaiterID?
        (answer, effects) = self.state.withLock { state in
            let (answer, actions) = state.machine.lease(now: .now, first: first)
            switch answer {
            case .granted(let id, let validate): return (state.lease(id, validate: validate), state.effects(of: actions))
            case .refused(let refusal): return (.failure(state.error(refusal)), state.effects(of: actions))
            case .wait(let id):
                waiter = id
                state.waiters[id] = .registered
                return (nil, state.effects(of: actions))
            }
        }
        self.carryOut(effects)
        if let answer { return try answer.get() }
        guard let waiter else { throw PostgresError(.closed, "no answer") }

        // Cancelled as soon as this function has its answer.
        async let _ = self.expire(waiter, at: deadline)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Result<Lease, PostgresError>? = self.state.withLock { state in
                    if case .answered(let answer) = state.waiters[waiter] {
                        state.waiters[waiter] = nil
                        return answer
                    }
                    state.waiters[waiter] = .asleep(continuation)
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            self.giveUp(waiter, PostgresError(.cancelled, "cancelled while waiting for a connection"))
        }
        return try result.get()
    }

    private func expire(_ waiter: PoolStateMachine.WaiterID, at deadline: ContinuousClock.Instant) async {
        do {
            try await Task.sleep(until: deadline, clock: .continuous)
        } catch {
            return
        }
        let isDown = self.state.withLock { $0.lastFailure != nil && $0.connections.isEmpty }
        self.giveUp(waiter, PostgresError(isDown ? .unavailable : .exhausted, "no connection within \(self.settings.leaseTimeout)"))
    }

    /// Answers a waiter who is still in the queue. One who has been answered keeps his answer.
    private func giveUp(_ waiter: PoolStateMachine.WaiterID, _ error: PostgresError) {
        let effect = self.state.withLock { state in
            state.machine.cancel(waiter) ? state.answer(waiter, .failure(error)) : nil
        }
        if let effect { self.carryOut([effect]) }
    }

    private func release(_ lease: Lease) async {
        var reusable = lease.connection.isIdle
        if !reusable { reusable = await lease.connection.reset() }
        self.perform { $0.machine.released(lease.id, now: .now, reusable: reusable) }
    }

    // MARK: - Connections

    private func open(_ id: PoolStateMachine.ConnectionID, after delay: Duration) async {
        if delay > .zero { try? await Task.sleep(for: delay) }
        do throws(PostgresError) {
            let connection = try await PostgresConnection.connect(self.configuration, logger: self.logger)
            self.perform { state in
                state.connections[id] = connection
                state.lastFailure = nil
                return state.machine.connected(id, now: .now, jitter: .random(in: 0...1))
            }
        } catch {
            if Task.isCancelled { return }
            self.logger.debug("cannot connect to the database", metadata: ["error": "\(error.debugDescription)"])
            self.perform { state in
                state.lastFailure = error
                return state.machine.connectFailed(id, now: .now, jitter: .random(in: 0...1))
            }
        }
    }

    private func keepHouse() async {
        while !Task.isCancelled {
            do { try await Task.sleep(for: .seconds(5)) } catch { return }
            self.perform { $0.machine.tick(now: .now) }
        }
    }

    /// Decides under the lock, acts after it.
    private func perform(_ event: (inout State) -> [PoolStateMachine.Action]) {
        let (effects, before, after, failure) = self.state.withLock { state in
            let before = state.machine.isCircuitOpen
            let effects = state.effects(of: event(&state))
            return (effects, before, state.machine.isCircuitOpen, state.lastFailure)
        }
        if !before, after {
            self.logger.warning("the database is not available", metadata: ["error": "\(failure?.debugDescription ?? "unknown")"])
        } else if before, !after {
            self.logger.warning("the database is available again")
        }
        self.carryOut(effects)
    }

    private func carryOut(_ effects: [Effect]) {
        for effect in effects {
            switch effect {
            case .resume(let continuation, let result): continuation.resume(returning: result)
            case .command(let command): self.commandQueue.yield(command)
            }
        }
    }
}

extension PostgresPool.State {
    fileprivate mutating func effects(of actions: [PoolStateMachine.Action]) -> [PostgresPool.Effect] {
        actions.compactMap { action in
            switch action {
            case .open(let id, let delay): return .command(.open(id, after: delay))
            case .close(let id): return self.connections.removeValue(forKey: id).map { .command(.close($0)) }
            case .grant(let waiter, let id): return self.answer(waiter, self.lease(id, validate: false))
            case .fail(let waiter, let refusal): return self.answer(waiter, .failure(self.error(refusal)))
            case .finished: return .command(.finish)
            }
        }
    }

    fileprivate func lease(_ id: PoolStateMachine.ConnectionID, validate: Bool) -> Result<PostgresPool.Lease, PostgresError> {
        guard let connection = self.connections[id] else { return .failure(PostgresError(.closed, "the connection is gone")) }
        return .success(PostgresPool.Lease(id: id, connection: connection, validate: validate))
    }

    fileprivate mutating func answer(
        _ waiter: PoolStateMachine.WaiterID, _ result: Result<PostgresPool.Lease, PostgresError>
    ) -> PostgresPool.Effect? {
        switch self.waiters[waiter] {
        case .asleep(let continuation):
            self.waiters[waiter] = nil
            return .resume(continuation, result)
        case .registered:
            self.waiters[waiter] = .answered(result)
            return nil
        case .answered, nil:
            return nil
        }
    }

    fileprivate func error(_ refusal: PoolStateMachine.Refusal) -> PostgresError {
        switch refusal {
        case .unavailable: self.lastFailure?.recoded(.unavailable) ?? PostgresError(.unavailable, "no connection")
        case .exhausted: PostgresError(.exhausted, "too many leases wait")
        case .closed: PostgresError(.closed, "the pool is shut down")
        }
    }
}
