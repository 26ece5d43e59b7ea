import NIOCore

/// Bounds in bytes and in time.
package struct WebSocketOptions: Sendable {
    /// A longer message, whole or in fragments, ends the connection with 1009.
    package var maxMessageBytes = 1 << 20
    /// Reading stops while so many bytes wait for the consumer …
    package var maxInboxBytes = 256 * 1024
    /// … or so many messages; one read of the socket may go over both.
    package var maxInboxMessages = 256
    /// Senders wait while more than so much is queued.
    package var maxOutboxBytes = 256 * 1024
    /// Zero for no pings.
    package var pingInterval = TimeAmount.seconds(20)
    /// A peer that sent nothing for so long while we were reading is dropped. Zero for never.
    package var silenceTimeout = TimeAmount.seconds(60)
    /// From our close frame to the end of the TCP connection, if the peer does not end it.
    package var closeTimeout = TimeAmount.seconds(5)

    package init() {}
}
