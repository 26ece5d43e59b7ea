import CLibPQ
import Glibc
import Logging
import Synchronization

/// One session with the server: an actor on a thread of its own, so that libpq never holds up anybody else.
///
/// Statements of concurrent callers run one after the other. Closed by `close()` or when the last reference goes. Once it is lost it stays
/// lost (`isOpen`): a pool makes new ones.
package actor PostgresConnection: PostgresQuerying {
    private let thread: ConnectionThread
    private let wake: WakeSignal
    private let configuration: PostgresConfiguration
    private let logger: Logger
    private let health = Atomic<Health>(.closed)
    private let socket = Atomic<Int32>(-1)
    private var handle: ConnectionHandle?
    private var statements = StatementCache()

    package nonisolated var unownedExecutor: UnownedSerialExecutor { self.thread.asUnownedSerialExecutor() }

    /// What others may know of the connection without waiting for its thread.
    private enum Health: UInt8, AtomicRepresentable {
        /// Between two statements, outside a transaction.
        case idle
        case busy
        case closed
    }

    private init(_ configuration: PostgresConfiguration, logger: Logger) throws(PostgresError) {
        self.thread = try ConnectionThread(name: "postgres")
        self.wake = try WakeSignal()
        self.configuration = configuration
        self.logger = logger
    }

    deinit {
        self.thread.stop()
    }

    /// Connects. Throws `.unavailable`, with libpq's words in the debug text, or `.cancelled`.
    package static func connect(
        _ configuration: PostgresConfiguration, logger: Logger
    ) async throws(PostgresError) -> PostgresConnection {
        let connection = try PostgresConnection(configuration, logger: logger)
        try await connection.open()
        return connection
    }

    /// Says good-bye to the server. Later statements throw `.closed`; a second call does nothing.
    package func close() {
        self.handle = nil
        self.health.store(.closed, ordering: .releasing)
    }

    /// Whether statements can be sent. `true` is a recent belief: the server can be gone without anybody having noticed.
    package nonisolated var isOpen: Bool { self.health.load(ordering: .acquiring) != .closed }

    /// Whether the connection stands between two statements and outside a transaction.
    nonisolated var isIdle: Bool { self.health.load(ordering: .acquiring) == .idle }

    package func run(_ sql: SQL, timeout: Duration? = nil) async throws(PostgresError) -> PostgresResult {
        try await self.perform(timeout, sql: sql.text) { connection, operation throws(PostgresError) in
            try connection.run(sql, &operation)
        }
    }

    /// Runs several statements in one go, separated by semicolons, without parameters; results are discarded.
    ///
    /// Outside a transaction the server makes all of them one.
    package func runScript(_ script: String, timeout: Duration? = nil) async throws(PostgresError) {
        try await self.perform(timeout, sql: "script") { connection, operation throws(PostgresError) in
            _ = try connection.runSimple(script, &operation)
        }
    }

    // MARK: - For the pool, transactions and the listener

    /// One statement that no cancellation interrupts: COMMIT, ROLLBACK, the pool's questions. Returns the server's tag.
    func runUninterrupted(_ statement: String, timeout: Duration) throws(PostgresError) -> String {
        var operation = Operation(deadline: .now + timeout, isCancellable: false, byteLimit: self.configuration.maximumResultBytes)
        defer { self.publishHealth() }
        return try self.runSimple(statement, &operation)
    }

    /// Whether the server has nothing to say. It speaks unasked hardly ever but to hang up, so a pool asks this before each use.
    ///
    /// Only for whoever has the connection to himself.
    nonisolated func isQuiet() -> Bool {
        var watched = pollfd(fd: self.socket.load(ordering: .relaxed), events: Int16(POLLIN), revents: 0)
        return poll(&watched, 1, 0) == 0
    }

    /// Ends a transaction that was left open. False if the connection cannot be given to anybody else.
    func reset() -> Bool {
        guard let handle else { return false }
        switch handle.transactionStatus {
        case PQTRANS_IDLE: return true
        case PQTRANS_INTRANS, PQTRANS_INERROR:
            do throws(PostgresError) {
                _ = try self.runUninterrupted("ROLLBACK", timeout: .seconds(5))
                return self.handle?.transactionStatus == PQTRANS_IDLE
            } catch {
                self.logger.debug("a transaction could not be rolled back", metadata: ["error": "\(error.debugDescription)"])
                return false
            }
        default: return false
        }
    }

    /// Waits for notifications; returns none when `interrupt()` was called or the deadline passed.
    ///
    /// An interrupt that came before the call counts.
    func notifications(until deadline: ContinuousClock.Instant) async throws(PostgresError) -> [PostgresNotification] {
        try await self.perform(nil, sql: "notifications") { connection, _ throws(PostgresError) in
            try connection.waitForNotifications(until: deadline)
        }
    }

    /// Ends a wait for notifications, the present or the next one.
    nonisolated func interrupt() {
        self.wake.signal(.interrupt)
    }

    // MARK: - On the thread

    /// One call's deadline, and what became of it.
    private struct Operation {
        let began = ContinuousClock.now
        var deadline: ContinuousClock.Instant
        let isCancellable: Bool
        let byteLimit: Int

        /// Why the server was asked to stop.
        var interruption: Interruption?
        var reply = Reply()
    }

    private enum Interruption {
        case cancelled
        case timeout
        case tooLarge
    }

    /// What arrived so far.
    fileprivate struct Reply {
        var rows: [PostgresRow] = []
        var columns: PostgresColumns?
        var bytes = 0
        var affectedRows = 0
        var tag = ""
    }

    private enum Event {
        case readable
        case writable
        case deadline
        case cancelled
        case interrupted
    }

    private func open() async throws(PostgresError) {
        let wake = self.wake
        let result: Result<Void, PostgresError> = await withTaskCancellationHandler {
            do throws(PostgresError) {
                try self.establish(deadline: .now + self.configuration.connectTimeout)
                return .success(())
            } catch {
                return .failure(error)
            }
        } onCancel: {
            wake.signal(.cancel)
        }
        try result.get()
    }

    private func establish(deadline: ContinuousClock.Instant) throws(PostgresError) {
        let handle = try ConnectionHandle(self.configuration, logger: self.logger)
        var step = PGRES_POLLING_WRITING
        while handle.status != CONNECTION_BAD {
            switch step {
            case PGRES_POLLING_OK:
                PQsetnonblocking(handle.raw, 1)
                self.handle = handle
                self.publishHealth()
                return
            case PGRES_POLLING_READING, PGRES_POLLING_WRITING:
                // The socket is asked for anew each time: libpq opens another one for the next address.
                let events = step == PGRES_POLLING_READING ? POLLIN : POLLOUT
                switch self.wait(handle.socket, for: Int16(events), until: deadline, cancellable: true, interruptible: false) {
                case .readable, .writable, .interrupted: break
                case .cancelled: throw PostgresError(.cancelled, "cancelled while connecting")
                case .deadline: throw PostgresError(.unavailable, "no connection within \(self.configuration.connectTimeout)")
                }
            default: throw PostgresError(.unavailable, handle.message)
            }
            step = PQconnectPoll(handle.raw)
        }
        throw PostgresError(.unavailable, handle.message)
    }

    /// The frame of every cancellable call: checks, cancellation handler, and the SQL for the error.
    private func perform<Value: Sendable>(
        _ timeout: Duration?, sql: String,
        _ body: (isolated PostgresConnection, inout Operation) throws(PostgresError) -> Value
    ) async throws(PostgresError) -> Value {
        if Task.isCancelled { throw PostgresError(.cancelled, "cancelled before it began", sql: sql) }
        // A handler has returned before the call it belongs to does, so what is left over here is nobody's.
        _ = self.wake.take(.cancel)
        var operation = Operation(
            deadline: .now + (timeout ?? self.configuration.defaultDeadline), isCancellable: true,
            byteLimit: self.configuration.maximumResultBytes)
        let wake = self.wake
        self.health.store(self.handle == nil ? .closed : .busy, ordering: .releasing)
        defer { self.publishHealth() }
        let result: Result<Value, PostgresError> = await withTaskCancellationHandler {
            do throws(PostgresError) { return .success(try body(self, &operation)) } catch { return .failure(error.withSQL(sql)) }
        } onCancel: {
            wake.signal(.cancel)
        }
        return try result.get()
    }

    private func publishHealth() {
        guard let handle, handle.status == CONNECTION_OK else {
            self.handle = nil
            self.health.store(.closed, ordering: .releasing)
            return
        }
        self.socket.store(handle.socket, ordering: .relaxed)
        self.health.store(handle.transactionStatus == PQTRANS_IDLE ? .idle : .busy, ordering: .releasing)
    }

    private func run(_ sql: SQL, _ operation: inout Operation) throws(PostgresError) -> PostgresResult {
        let parameters = try ParameterBuffer(sql.parameters)
        guard self.configuration.usesPreparedStatements else {
            try self.send(&operation) { raw in
                parameters.withPointers { types, values, lengths, formats in
                    PQsendQueryParams(raw, sql.text, parameters.count, types, values, lengths, formats, 1)
                }
            }
            return PostgresResult(operation.reply)
        }
        let key = StatementCache.Key(text: sql.text, types: sql.parameters.map(\.type.rawValue))
        guard let name = self.statements.name(of: key) else {
            return try self.execute(self.prepare(key, &operation), parameters, &operation)
        }
        let isOutsideTransaction = self.handle?.transactionStatus == PQTRANS_IDLE
        do throws(PostgresError) {
            return try self.execute(name, parameters, &operation)
        } catch {
            // The server forgot the statement (26000) or a table changed under it (0A000). It refused before it did anything, but inside
            // a transaction everything before is lost too: that is the caller's to repeat.
            let isStale = error.isServer(.invalidStatementName) || error.isServer(.featureNotSupported)
            guard isStale, isOutsideTransaction else { throw error }
            self.statements.remove(key)
            if error.isServer(.featureNotSupported) { try self.deallocate(name, &operation) }
            return try self.execute(self.prepare(key, &operation), parameters, &operation)
        }
    }

    private func execute(
        _ name: String, _ parameters: ParameterBuffer, _ operation: inout Operation
    ) throws(PostgresError) -> PostgresResult {
        operation.reply = Reply()
        try self.send(&operation) { raw in
            parameters.withPointers { _, values, lengths, formats in
                PQsendQueryPrepared(raw, name, parameters.count, values, lengths, formats, 1)
            }
        }
        return PostgresResult(operation.reply)
    }

    private func prepare(_ key: StatementCache.Key, _ operation: inout Operation) throws(PostgresError) -> String {
        let name = self.statements.newName()
        try self.send(&operation) { raw in
            PQsendPrepare(raw, name, key.text, Int32(key.types.count), key.types)
        }
        if let evicted = self.statements.insert(key, name: name) { try self.deallocate(evicted, &operation) }
        return name
    }

    private func deallocate(_ name: String, _ operation: inout Operation) throws(PostgresError) {
        _ = try self.runSimple("DEALLOCATE \(name)", &operation)
    }

    private func runSimple(_ script: String, _ operation: inout Operation) throws(PostgresError) -> String {
        guard !script.utf8.contains(0) else { throw PostgresError(.invalidParameter, "a statement with a zero byte") }
        try self.send(&operation) { PQsendQuery($0, script) }
        return operation.reply.tag
    }

    /// Sends and receives until the connection is ready for the next statement, whatever happens in between.
    private func send(_ operation: inout Operation, _ call: (OpaquePointer) -> Int32) throws(PostgresError) {
        guard let handle else { throw PostgresError(.closed, "the connection is closed") }
        // An earlier step of the same call was done before the request to stop it arrived: stop here.
        if let interruption = operation.interruption { throw self.error(interruption, nil) }
        guard call(handle.raw) == 1 else {
            guard handle.status == CONNECTION_OK else { throw self.lost(handle) }
            throw PostgresError(.invalidParameter, handle.message)
        }
        PQsetSingleRowMode(handle.raw)

        var failure: PostgresError?
        while true {
            try self.awaitResult(handle, &operation)
            guard let raw = PQgetResult(handle.raw) else { break }
            let result = ResultHandle(owning: raw)
            switch result.status {
            case PGRES_SINGLE_TUPLE, PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
                self.collect(result, handle, &operation)
            case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
                // Leaving COPY needs a dialogue of its own; nobody here starts one.
                self.close()
                throw PostgresError(.unsupported, "COPY")
            default:
                failure = failure ?? result.error
            }
        }
        if handle.status != CONNECTION_OK || failure?.code == .connectionLost {
            let loss = failure ?? PostgresError(.connectionLost, handle.message)
            self.close()
            if let interruption = operation.interruption { throw self.error(interruption, loss) }
            throw loss.recoded(.connectionLost)
        }
        if operation.interruption == .tooLarge { throw self.error(.tooLarge, failure) }
        guard let failure else { return }
        if failure.isServer(.queryCanceled) {
            if let interruption = operation.interruption { throw self.error(interruption, failure) }
            // The server's own limit is the same thing to a caller as ours. Before that time it was an administrator.
            if let limit = self.configuration.statementTimeout, .now - operation.began >= limit { throw failure.recoded(.timeout) }
        }
        throw failure
    }

    private func collect(_ result: borrowing ResultHandle, _ handle: ConnectionHandle, _ operation: inout Operation) {
        for index in 0..<result.rowCount where operation.interruption != .tooLarge {
            let columns = operation.reply.columns ?? result.columns()
            operation.reply.columns = columns
            // An allowance for what a row costs besides its values.
            operation.reply.bytes += result.size(index) + 64 + 9 * columns.names.count
            if operation.reply.bytes > operation.byteLimit {
                operation.reply.rows = []
                operation.interruption = .tooLarge
                self.requestCancel(handle, &operation)
            } else {
                operation.reply.rows.append(result.row(index, columns: columns))
            }
        }
        if result.status != PGRES_SINGLE_TUPLE {
            operation.reply.affectedRows = result.affectedRows
            operation.reply.tag = result.tag
        }
    }

    /// Returns when `PQgetResult` will not block. On a broken connection it does not: it gives what had arrived, the server's last words
    /// among it, and then nil.
    private func awaitResult(_ handle: ConnectionHandle, _ operation: inout Operation) throws(PostgresError) {
        while true {
            let flushed = PQflush(handle.raw)
            if handle.status != CONNECTION_OK || (flushed == 0 && PQisBusy(handle.raw) == 0) { return }
            guard flushed >= 0 else { throw self.lost(handle) }
            let events = Int16(POLLIN) | (flushed == 1 ? Int16(POLLOUT) : 0)
            let isCancellable = operation.isCancellable && operation.interruption == nil
            switch self.wait(handle.socket, for: events, until: operation.deadline, cancellable: isCancellable, interruptible: false) {
            case .readable:
                let isRead = PQconsumeInput(handle.raw) == 1
                guard isRead || handle.status != CONNECTION_OK else { throw self.lost(handle) }
            case .writable, .interrupted: break
            case .cancelled:
                operation.interruption = .cancelled
                self.requestCancel(handle, &operation)
            case .deadline:
                if let interruption = operation.interruption {
                    // The server does not even answer the request to stop.
                    self.close()
                    throw self.error(interruption, PostgresError(.connectionLost, "no answer to a cancel request"))
                }
                operation.interruption = .timeout
                self.requestCancel(handle, &operation)
            }
        }
    }

    /// Asks the server to stop, and waits until it has been told: a late request would hit the next statement.
    private func requestCancel(_ handle: ConnectionHandle, _ operation: inout Operation) {
        operation.deadline = .now + .seconds(5)
        guard let request = CancelRequest(handle) else { return }
        switch self.wait(request.descriptor, for: Int16(POLLIN), until: operation.deadline, cancellable: false, interruptible: false) {
        // Hanging up is the only other way to be sure. The socket's state then ends the loop that called.
        case .deadline: shutdown(handle.socket, Int32(SHUT_RDWR))
        default: break
        }
    }

    private func waitForNotifications(until deadline: ContinuousClock.Instant) throws(PostgresError) -> [PostgresNotification] {
        guard let handle else { throw PostgresError(.closed, "the connection is closed") }
        while true {
            var notifications: [PostgresNotification] = []
            while let raw = PQnotifies(handle.raw) {
                notifications.append(
                    PostgresNotification(channel: String(cString: raw.pointee.relname), payload: String(cString: raw.pointee.extra)))
                PQfreemem(raw)
            }
            if !notifications.isEmpty { return notifications }
            switch self.wait(handle.socket, for: Int16(POLLIN), until: deadline, cancellable: true, interruptible: true) {
            case .readable, .writable:
                guard PQconsumeInput(handle.raw) == 1, handle.status == CONNECTION_OK else { throw self.lost(handle) }
            case .cancelled: throw PostgresError(.cancelled, "cancelled while waiting for notifications")
            case .deadline, .interrupted: return []
            }
        }
    }

    /// Sleeps until a descriptor is ready or there is another reason to wake up.
    private func wait(
        _ descriptor: Int32, for events: Int16, until deadline: ContinuousClock.Instant, cancellable: Bool, interruptible: Bool
    ) -> Event {
        while true {
            if cancellable, self.wake.take(.cancel) { return .cancelled }
            if interruptible, self.wake.take(.interrupt) { return .interrupted }
            let left = deadline - .now
            guard left > .zero else { return .deadline }
            var watched = (
                pollfd(fd: descriptor, events: events, revents: 0),
                // poll(2) skips negative descriptors.
                pollfd(fd: cancellable || interruptible ? self.wake.descriptor : -1, events: Int16(POLLIN), revents: 0)
            )
            let ready = withUnsafeMutableBytes(of: &watched) { bytes in
                poll(bytes.assumingMemoryBound(to: pollfd.self).baseAddress, 2, left.wholeMilliseconds)
            }
            guard ready > 0 else { continue }  // EINTR, or time to look at the deadline
            if watched.1.revents != 0 {
                self.wake.quieten()
                continue
            }
            if watched.0.revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 { return .readable }
            if watched.0.revents != 0 { return .writable }
        }
    }

    /// The error for a broken connection, in the server's words if it had last ones; closes it.
    private func lost(_ handle: ConnectionHandle) -> PostgresError {
        var failure = PostgresError(.connectionLost, handle.message)
        // On a bad connection PQgetResult does not wait: it gives what had arrived, then nil.
        while handle.status != CONNECTION_OK, let raw = PQgetResult(handle.raw) {
            let result = ResultHandle(owning: raw)
            if result.status == PGRES_FATAL_ERROR { failure = result.error.recoded(.connectionLost) }
        }
        self.close()
        return failure
    }

    private func error(_ interruption: Interruption, _ cause: PostgresError?) -> PostgresError {
        let cause = cause ?? PostgresError(.cancelled, "stopped")
        return switch interruption {
        case .cancelled: cause.recoded(.cancelled)
        case .timeout: cause.recoded(.timeout)
        case .tooLarge: PostgresError(.resultTooLarge, "more than \(self.configuration.maximumResultBytes) bytes")
        }
    }
}

extension PostgresResult {
    fileprivate init(_ reply: PostgresConnection.Reply) {
        self.init(rows: reply.rows, affectedRows: reply.affectedRows, tag: reply.tag)
    }
}
