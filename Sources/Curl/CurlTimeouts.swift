/// How long a transfer may take; nil means no limit of that kind.
package struct CurlTimeouts: Equatable, Sendable {
    /// Until the connection, TLS included, stands.
    package var connect: Duration
    /// From start to the last byte.
    package var total: Duration?
    /// Without a byte in either direction while nobody has paused the transfer. Counted in whole seconds.
    package var idle: Duration?

    package init(connect: Duration = .seconds(10), total: Duration? = nil, idle: Duration? = nil) {
        self.connect = connect
        self.total = total
        self.idle = idle
    }
}
