/// Why a message could not be sent.
package enum WebSocketError: Error, Equatable, Sendable {
    /// The connection has ended, or is about to; `WebSocketConnection.end` says why.
    case closed
}
