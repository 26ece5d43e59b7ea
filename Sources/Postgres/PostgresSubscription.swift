/// The notifications of one channel, for one reader. Ends when it is released, or its listener stops.
///
/// What was not fetched is kept as a set of payloads without repeats; if that grows too large it becomes one `.resync`.
package final class PostgresSubscription: AsyncSequence, Sendable {
    /// What a subscriber is told.
    package enum Event: Hashable, Sendable {
        /// Notifications may have been missed: read everything again. Always the first event, and the first after every reconnect.
        case resync
        /// These payloads were notified, each at least once, in the order of their first occurrence.
        case notified([String])
    }

    private let inbox: NotificationInbox
    private let end: @Sendable () -> Void

    init(_ inbox: NotificationInbox, end: @escaping @Sendable () -> Void) {
        self.inbox = inbox
        self.end = end
    }

    deinit {
        self.end()
    }

    package func makeAsyncIterator() -> Iterator {
        Iterator(subscription: self)
    }

    /// Keeps the subscription alive. `next()` returns nil when the task is cancelled; the subscription itself goes on.
    package struct Iterator: AsyncIteratorProtocol {
        fileprivate let subscription: PostgresSubscription

        package mutating func next() async -> Event? {
            await self.subscription.inbox.next()
        }

        package mutating func next(isolation actor: isolated (any Actor)?) async -> Event? {
            await self.subscription.inbox.next()
        }
    }
}
