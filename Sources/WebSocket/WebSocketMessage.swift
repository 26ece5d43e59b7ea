import NIOCore

/// One whole message, its fragments put together.
package enum WebSocketMessage: Equatable, Sendable {
    case binary(ByteBuffer)
    case text(String)

    var byteCount: Int {
        switch self {
        case .binary(let buffer): buffer.readableBytes
        case .text(let text): text.utf8.count
        }
    }
}
