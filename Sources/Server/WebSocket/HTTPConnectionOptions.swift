import ExecboxWebSocket
import NIOCore

/// Bounds of one connection to the server.
package struct HTTPConnectionOptions: Sendable {
    /// From accept to the first request's head.
    package var firstRequestTimeout = TimeAmount.seconds(10)
    /// A connection kept alive without a request.
    package var idleTimeout = TimeAmount.seconds(75)
    /// Names and values of a request's header fields; the request line has the same bound of its own.
    package var maxHeaderBytes = 32 * 1024
    package var webSocket = WebSocketOptions()

    package init() {}
}
