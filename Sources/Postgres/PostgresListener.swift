import Logging
import ServiceLifecycle
import Synchronization

/// Hears NOTIFY on a connection of its own and tells subscribers.
///
/// A notification is a hint: what is sent while the connection is down is lost, so every subscriber is told to read again (`.resync`) once
/// LISTEN holds, at first and after every reconnect.
package final class PostgresListener: Service {
    private let configuration: PostgresConfiguration
    private let logger: Logger
    private let state = Mutex(State())

    private struct Subscriber {
        let channel: String
        let inbox: NotificationInbox

        /// Whether it was told to read since LISTEN holds.
        var isSynchronized = false
    }

    private struct State {
        var subscribers: [Int: Subscriber] = [:]
        var nextID = 0
        var connection: PostgresConnection?
        var isStopped = false

        var channels: Set<String> { Set(self.subscribers.values.map(\.channel)) }
    }

    /// Connects to nothing yet: that is `run()`'s.
    package init(_ configuration: PostgresConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// The notifications of a channel from now on. Works before `run()`, too; nothing comes until then. `limit` is how many different
    /// payloads are kept for a reader who does not fetch them.
    package func subscribe(_ channel: String, limit: Int = 1024) -> PostgresSubscription {
        let inbox = NotificationInbox(limit: limit)
        let (id, connection, isStopped) = self.state.withLock { state in
            state.nextID += 1
            if !state.isStopped { state.subscribers[state.nextID] = Subscriber(channel: channel, inbox: inbox) }
            return (state.nextID, state.connection, state.isStopped)
        }
        if isStopped { inbox.finish() }
        connection?.interrupt()
        return PostgresSubscription(inbox) { [weak self] in self?.unsubscribe(id) }
    }

    /// Connects, and reconnects for ever, until the task is cancelled or shut down gracefully. All subscriptions end with it, for good.
    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var failures = 0
            while !Task.isCancelled {
                do throws(PostgresError) {
                    try await self.listen { failures = 0 }
                } catch {
                    if Task.isCancelled { break }
                    failures += 1
                    let level: Logger.Level = failures == 1 ? .warning : .debug
                    self.logger.log(level: level, "the listening connection failed", metadata: ["error": "\(error.debugDescription)"])
                    try? await Task.sleep(for: Backoff().delay(failures: failures, jitter: .random(in: 0...1)))
                }
            }
        }
        let subscribers = self.state.withLock { state in
            state.isStopped = true
            defer { state.subscribers = [:] }
            return state.subscribers.values.map(\.inbox)
        }
        for inbox in subscribers { inbox.finish() }
    }

    /// One connection's life. Returns by throwing only.
    private func listen(_ connected: () -> Void) async throws(PostgresError) {
        let connection = try await PostgresConnection.connect(self.configuration, logger: self.logger)
        defer { self.disconnected() }
        self.state.withLock { $0.connection = connection }
        var listened: Set<String> = []
        while true {
            let wanted = self.state.withLock { $0.channels }
            for channel in wanted.subtracting(listened) { try await connection.runScript(SQL("LISTEN \(identifier: channel)").text) }
            for channel in listened.subtracting(wanted) { try await connection.runScript(SQL("UNLISTEN \(identifier: channel)").text) }
            listened = wanted
            self.synchronize(listened)
            connected()

            let notifications = try await connection.notifications(until: .now + .seconds(30))
            for notification in notifications { self.deliver(notification) }
            // Half a minute of silence can be a dead network as well.
            if notifications.isEmpty { _ = try await connection.run("SELECT 1", timeout: .seconds(5)) }
        }
    }

    private func synchronize(_ channels: Set<String>) {
        let inboxes = self.state.withLock { state in
            var inboxes: [NotificationInbox] = []
            for (id, subscriber) in state.subscribers where !subscriber.isSynchronized && channels.contains(subscriber.channel) {
                state.subscribers[id]?.isSynchronized = true
                inboxes.append(subscriber.inbox)
            }
            return inboxes
        }
        for inbox in inboxes { inbox.resync() }
    }

    private func deliver(_ notification: PostgresNotification) {
        let inboxes = self.state.withLock { state in
            state.subscribers.values.filter { $0.channel == notification.channel }.map(\.inbox)
        }
        for inbox in inboxes { inbox.deliver(notification.payload) }
    }

    private func disconnected() {
        self.state.withLock { state in
            state.connection = nil
            for id in state.subscribers.keys { state.subscribers[id]?.isSynchronized = false }
        }
    }

    private func unsubscribe(_ id: Int) {
        let connection = self.state.withLock { state in
            state.subscribers[id] = nil
            return state.connection
        }
        connection?.interrupt()
    }
}
