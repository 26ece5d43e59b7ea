import Synchronization

/// What a subscriber has not fetched yet: a set, so that a slow one costs no more than it has different things to hear.
///
/// Pure; `NotificationInbox` drives it.
struct InboxState: Sendable {
    let limit: Int
    private var payloads: [String] = []
    private var known: Set<String> = []
    private var needsResync = false
    private(set) var isFinished = false

    init(limit: Int) {
        self.limit = limit
    }

    mutating func deliver(_ payload: String) {
        if self.needsResync || self.isFinished || self.known.contains(payload) { return }
        // "Read everything again" says it all, in constant space.
        if self.payloads.count >= self.limit { return self.resync() }
        self.payloads.append(payload)
        self.known.insert(payload)
    }

    mutating func resync() {
        self.payloads = []
        self.known = []
        self.needsResync = true
    }

    mutating func finish() {
        self.isFinished = true
    }

    /// nil: nothing to hear yet, or ever if it is finished.
    mutating func take() -> PostgresSubscription.Event? {
        if self.isFinished { return nil }
        if self.needsResync {
            self.needsResync = false
            return .resync
        }
        guard !self.payloads.isEmpty else { return nil }
        defer {
            self.payloads = []
            self.known = []
        }
        return .notified(self.payloads)
    }
}

/// An `InboxState` and the one who may be waiting at it.
final class NotificationInbox: Sendable {
    private typealias Reader = CheckedContinuation<PostgresSubscription.Event?, Never>

    private struct State {
        var inbox: InboxState
        var reader: Reader?
    }

    private let state: Mutex<State>

    init(limit: Int) {
        self.state = Mutex(State(inbox: InboxState(limit: limit)))
    }

    func deliver(_ payload: String) { self.change { $0.deliver(payload) } }
    func resync() { self.change { $0.resync() } }
    func finish() { self.change { $0.finish() } }

    /// The next event; nil when finished or cancelled. One caller at a time: a second one ends the wait of the first.
    func next() async -> PostgresSubscription.Event? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: Reader) in
                let (reader, event) = self.state.withLock { state -> (Reader?, PostgresSubscription.Event?) in
                    // Under the same lock that the cancel handler takes: it has either run, and this sees it, or it will find the reader.
                    if Task.isCancelled { return (continuation, nil) }
                    if let event = state.inbox.take() { return (continuation, event) }
                    if state.inbox.isFinished { return (continuation, nil) }
                    defer { state.reader = continuation }
                    return (state.reader, nil)
                }
                reader?.resume(returning: event)
            }
        } onCancel: {
            let reader = self.state.withLock { state in
                defer { state.reader = nil }
                return state.reader
            }
            reader?.resume(returning: nil)
        }
    }

    private func change(_ body: (inout InboxState) -> Void) {
        let (reader, event) = self.state.withLock { state -> (Reader?, PostgresSubscription.Event?) in
            body(&state.inbox)
            guard let reader = state.reader else { return (nil, nil) }
            let event = state.inbox.take()
            guard event != nil || state.inbox.isFinished else { return (nil, nil) }
            state.reader = nil
            return (reader, event)
        }
        reader?.resume(returning: event)
    }
}
