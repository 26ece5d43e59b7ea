extension PostgresPool {
    /// The pool's size and patience.
    package struct Configuration: Sendable {
        /// Kept open even when nobody uses them.
        package var minimumConnections = 1

        /// Each costs a thread here and a process there.
        package var maximumConnections = 8

        /// How long a lease waits for a connection before it throws `.exhausted`.
        package var leaseTimeout: Duration = .seconds(5)

        /// More waiting leases than this are refused at once (`.exhausted`).
        package var maximumWaiters = 1024

        /// How long the server has to be out of reach before leases fail at once instead of waiting for it.
        package var tripAfter: Duration = .seconds(1)

        /// A connection is replaced after this time, or up to a fifth earlier so that not all go at once.
        package var maximumLifetime: Duration = .seconds(30 * 60)

        /// A connection above the minimum is closed after so much rest.
        package var idleTimeout: Duration = .seconds(5 * 60)

        /// A connection that rested longer is tried with a query before it is given away.
        package var validateAfter: Duration = .seconds(30)

        var backoff = Backoff()

        /// The defaults, which suit a server of one host.
        package init() {}
    }

    /// A look at the pool, for metrics and readiness.
    package struct Statistics: Hashable, Sendable {
        /// Connections that nobody uses.
        package let idle: Int

        /// Connections that are lent.
        package let leased: Int

        /// Attempts to connect that are going on, or wait for their turn after a failure.
        package let opening: Int

        /// Leases that have no connection yet.
        package let waiting: Int

        /// False from the moment the server counts as gone until it is back, and after shutdown.
        package let isAvailable: Bool
    }
}
