import NIOCore
import NIOHTTP1
import NIOWebSocket

/// NIO's upgrader for the handshake, our own handlers behind it.
final class WebSocketClientUpgrader<Outcome: Sendable>: NIOTypedHTTPClientProtocolUpgrader {
    private let handshake: NIOTypedWebSocketClientUpgrader<Outcome>
    private let upgraded: @Sendable (any Channel, HTTPResponseHead) throws -> Outcome

    init(upgraded: @escaping @Sendable (any Channel, HTTPResponseHead) throws -> Outcome) {
        self.upgraded = upgraded
        handshake = NIOTypedWebSocketClientUpgrader { channel, head in
            channel.eventLoop.makeCompletedFuture { try upgraded(channel, head) }
        }
    }

    var supportedProtocol: String { handshake.supportedProtocol }
    var requiredUpgradeHeaders: [String] { handshake.requiredUpgradeHeaders }

    func addCustom(upgradeRequestHeaders headers: inout HTTPHeaders) { handshake.addCustom(upgradeRequestHeaders: &headers) }

    func shouldAllowUpgrade(upgradeResponse head: HTTPResponseHead) -> Bool { handshake.shouldAllowUpgrade(upgradeResponse: head) }

    func upgrade(channel: any Channel, upgradeResponse head: HTTPResponseHead) -> EventLoopFuture<Outcome> {
        channel.eventLoop.makeCompletedFuture { try upgraded(channel, head) }
    }
}
