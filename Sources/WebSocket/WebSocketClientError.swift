import NIOHTTP1

/// Why no WebSocket came about.
package enum WebSocketClientError: Error, Sendable {
    case invalidURL(String)
    /// No TCP or TLS connection; the text is for people.
    case unreachable(String)
    case timedOut
    /// The server answered something other than a valid 101; the body is cut at 64 KiB.
    case refused(status: Int, headers: HTTPHeaders, body: [UInt8])
    /// The connection ended, or spoke nonsense, before the answer was complete.
    case handshakeFailed(String)
}
