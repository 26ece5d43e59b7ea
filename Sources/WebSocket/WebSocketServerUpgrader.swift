import NIOCore
import NIOHTTP1
import NIOWebSocket

/// NIO's upgrader for the handshake, our own handlers behind it.
package final class WebSocketServerUpgrader<Outcome: Sendable>: NIOTypedHTTPServerProtocolUpgrader, Sendable {
    private let handshake: NIOTypedWebSocketServerUpgrader<Outcome>
    private let upgraded: @Sendable (any Channel) throws -> Outcome

    /// - Parameters:
    ///   - shouldUpgrade: the response's headers, or nil to refuse.
    ///   - upgraded: called on the loop once the 101 is written and no HTTP handler is left.
    package init(
        shouldUpgrade: @escaping @Sendable (any Channel, HTTPRequestHead) -> EventLoopFuture<HTTPHeaders?>,
        upgraded: @escaping @Sendable (any Channel) throws -> Outcome
    ) {
        self.upgraded = upgraded
        handshake = NIOTypedWebSocketServerUpgrader(
            shouldUpgrade: shouldUpgrade,
            upgradePipelineHandler: { channel, _ in channel.eventLoop.makeCompletedFuture { try upgraded(channel) } })
    }

    package var supportedProtocol: String { handshake.supportedProtocol }
    package var requiredUpgradeHeaders: [String] { handshake.requiredUpgradeHeaders }

    package func buildUpgradeResponse(
        channel: any Channel, upgradeRequest: HTTPRequestHead, initialResponseHeaders: HTTPHeaders
    ) -> EventLoopFuture<HTTPHeaders> {
        handshake.buildUpgradeResponse(channel: channel, upgradeRequest: upgradeRequest, initialResponseHeaders: initialResponseHeaders)
    }

    package func upgrade(channel: any Channel, upgradeRequest: HTTPRequestHead) -> EventLoopFuture<Outcome> {
        channel.eventLoop.makeCompletedFuture { try upgraded(channel) }
    }
}
