import NIOCore
import NIOWebSocket

/// Turns frames into messages and control events, and holds the peer to RFC 6455 §5 and to our size limit.
///
/// After a violation nothing it answers has a meaning any more.
struct FrameReceiver {
    enum Event: Equatable {
        case none
        case message(WebSocketMessage)
        case ping(ByteBuffer)
        case pong(ByteBuffer)
        case close(WebSocketCloseCode, reason: String)
        case violation(WebSocketCloseCode, String)
    }

    private enum Kind { case binary, text }

    let role: WebSocketRole
    let maxMessageBytes: Int
    private var partial: (kind: Kind, data: ByteBuffer)?

    init(role: WebSocketRole, maxMessageBytes: Int) {
        self.role = role
        self.maxMessageBytes = maxMessageBytes
    }

    mutating func receive(_ frame: WebSocketFrame) -> Event {
        guard frame.reservedBits.isEmpty else { return .violation(.protocolError, "reserved bits are set") }
        switch role {
        case .server where frame.maskKey == nil: return .violation(.protocolError, "a client must mask its frames")
        case .client where frame.maskKey != nil: return .violation(.protocolError, "a server must not mask its frames")
        default: break
        }
        var data = frame.data
        if let key = frame.maskKey { data.toggleMask(MaskingKey(key)) }
        switch frame.opcode {
        case .binary: return start(.binary, data, isWhole: frame.fin)
        case .text: return start(.text, data, isWhole: frame.fin)
        case .continuation: return proceed(data, isLast: frame.fin)
        // The decoder has refused fragmented control frames and those over 125 bytes.
        case .ping: return .ping(data)
        case .pong: return .pong(data)
        case .connectionClose: return close(data)
        default: return .violation(.protocolError, "unknown opcode")
        }
    }

    private mutating func start(_ kind: Kind, _ data: ByteBuffer, isWhole: Bool) -> Event {
        guard partial == nil else { return .violation(.protocolError, "a new message inside another one") }
        guard data.readableBytes <= maxMessageBytes else { return tooBig }
        guard !isWhole else { return message(kind, data) }
        partial = (kind, data)
        return .none
    }

    private mutating func proceed(_ data: ByteBuffer, isLast: Bool) -> Event {
        guard let kind = partial?.kind, var whole = partial?.data else {
            return .violation(.protocolError, "a continuation of nothing")
        }
        // Holding the only reference, appending does not copy what is there.
        partial = nil
        guard whole.readableBytes + data.readableBytes <= maxMessageBytes else { return tooBig }
        whole.writeImmutableBuffer(data)
        guard isLast else {
            partial = (kind, whole)
            return .none
        }
        return message(kind, whole)
    }

    private var tooBig: Event { .violation(.tooBig, "messages may have up to \(maxMessageBytes) bytes") }

    private func message(_ kind: Kind, _ data: ByteBuffer) -> Event {
        switch kind {
        case .binary: return .message(.binary(data))
        case .text:
            guard let text = String(validating: data.readableBytesView, as: UTF8.self) else {
                return .violation(.invalidText, "a text message must be UTF-8")
            }
            return .message(.text(text))
        }
    }

    private func close(_ data: ByteBuffer) -> Event {
        var data = data
        if data.readableBytes == 0 { return .close(.noCode, reason: "") }
        guard let rawCode = data.readInteger(as: UInt16.self) else { return .violation(.protocolError, "half a close code") }
        let code = WebSocketCloseCode(rawValue: rawCode)
        guard code.isSendable else { return .violation(.protocolError, "close code \(rawCode) must not be sent") }
        guard let reason = String(validating: data.readableBytesView, as: UTF8.self) else {
            return .violation(.invalidText, "a close reason must be UTF-8")
        }
        return .close(code, reason: reason)
    }
}
