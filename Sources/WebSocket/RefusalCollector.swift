import NIOCore
import NIOHTTP1

/// Keeps the answer to an upgrade that was refused, up to a bound.
final class RefusalCollector: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    static let maxBodyBytes = 64 * 1024

    private let answer: EventLoopPromise<WebSocketClientError>
    private var head: HTTPResponseHead?
    private var body: [UInt8] = []

    init(answer: EventLoopPromise<WebSocketClientError>) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body(let part):
            body.append(contentsOf: part.readableBytesView.prefix(Self.maxBodyBytes - body.count))
            if body.count == Self.maxBodyBytes { finish(context) }
        case .end: finish(context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish(context)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if head == nil { answer.succeed(.handshakeFailed("\(error)")) }
        finish(context)
    }

    private func finish(_ context: ChannelHandlerContext) {
        if let head {
            answer.succeed(.refused(status: Int(head.status.code), headers: head.headers, body: body))
        } else {
            answer.succeed(.handshakeFailed("the server ended the connection without an answer"))
        }
        context.close(promise: nil)
    }
}
