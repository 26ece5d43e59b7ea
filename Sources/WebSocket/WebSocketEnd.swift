/// How a connection ended. The first cause stands: a close frame that answers ours is no close by the peer.
package enum WebSocketEnd: Equatable, Sendable {
    case closedByPeer(WebSocketCloseCode, reason: String)
    case closedByUs(WebSocketCloseCode, reason: String)
    /// Without a close frame; the text is for the log.
    case lost(String)

    package var code: WebSocketCloseCode {
        switch self {
        case .closedByPeer(let code, _), .closedByUs(let code, _): code
        case .lost: .lost
        }
    }

    package var reason: String {
        switch self {
        case .closedByPeer(_, let reason), .closedByUs(_, let reason), .lost(let reason): reason
        }
    }
}
