import ExecboxPostgres
import ExecboxTestSupport
import Testing

@Suite("A listener", .timeLimit(.minutes(2))) struct ListenerTests {
    /// A running listener, and a pool to notify with.
    private func withListener(_ body: @Sendable (PostgresListener, PostgresPool) async throws -> Void) async throws {
        try await TestDatabase.with { database in
            try await database.withPool { pool in
                let listener = PostgresListener(database.configuration, logger: database.logger)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await listener.run() }
                    try await body(listener, pool)
                    group.cancelAll()
                    try await group.waitForAll()
                }
            }
        }
    }

    private func notify(_ pool: PostgresPool, _ channel: String, _ payload: String) async throws {
        try await pool.execute("SELECT pg_notify(\(channel), \(payload))")
    }

    /// The process id of the listener's session, once it listens.
    private func listeningProcess(_ pool: PostgresPool) async throws -> Int {
        while true {
            let row = try await pool.queryFirst(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'")
            if let row { return try row.decode(Int.self, "pid") }
        }
    }

    @Test("tells a subscriber to read first, and then what is notified")
    func delivers() async throws {
        try await self.withListener { listener, pool in
            var events = listener.subscribe("sessions").makeAsyncIterator()
            let first = await events.next()
            #expect(first == .resync)
            try await self.notify(pool, "sessions", "sb_1")
            let second = await events.next()
            #expect(second == .notified(["sb_1"]))
        }
    }

    @Test("keeps channels apart, whatever their names")
    func channels() async throws {
        try await self.withListener { listener, pool in
            var plain = listener.subscribe("a").makeAsyncIterator()
            var odd = listener.subscribe(#"A "quoted"; name"#).makeAsyncIterator()
            _ = await (plain.next(), odd.next())
            try await self.notify(pool, #"A "quoted"; name"#, "odd")
            try await self.notify(pool, "a", "plain")
            let (first, second) = await (odd.next(), plain.next())
            #expect(first == .notified(["odd"]))
            #expect(second == .notified(["plain"]))
        }
    }

    @Test("tells every subscriber of a channel")
    func severalSubscribers() async throws {
        try await self.withListener { listener, pool in
            var one = listener.subscribe("c").makeAsyncIterator()
            _ = await one.next()
            // Nothing has to be asked of the server for this one.
            var two = listener.subscribe("c").makeAsyncIterator()
            let resync = await two.next()
            #expect(resync == .resync)
            try await self.notify(pool, "c", "x")
            let (first, second) = await (one.next(), two.next())
            #expect(first == .notified(["x"]))
            #expect(second == .notified(["x"]))
        }
    }

    @Test("reconnects when its session is ended, and tells subscribers to read again")
    func reconnects() async throws {
        try await self.withListener { listener, pool in
            var events = listener.subscribe("c").makeAsyncIterator()
            _ = await events.next()
            try await pool.terminate(try await self.listeningProcess(pool))
            let again = await events.next()
            #expect(again == .resync)
            try await self.notify(pool, "c", "after")
            let next = await events.next()
            #expect(next == .notified(["after"]))
        }
    }

    @Test("stops listening on a channel that nobody wants any more")
    func unlistens() async throws {
        try await self.withListener { listener, pool in
            var events: PostgresSubscription.Iterator? = listener.subscribe("c").makeAsyncIterator()
            _ = await events?.next()
            events = nil
            try await until {
                let unlistening: SQL = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'UNLISTEN%'"
                return try await !pool.query(unlistening).isEmpty
            }
        }
    }

    @Test("ends all subscriptions when it stops, also later ones")
    func stops() async throws {
        try await TestDatabase.with { database in
            let listener = PostgresListener(database.configuration, logger: database.logger)
            let running = Task { try await listener.run() }
            var events = listener.subscribe("c").makeAsyncIterator()
            _ = await events.next()
            running.cancel()
            try await running.value
            let end = await events.next()
            #expect(end == nil)
            var late = listener.subscribe("c").makeAsyncIterator()
            let nothing = await late.next()
            #expect(nothing == nil)
        }
    }
}
