import ExecboxAPI
import ExecboxModel
import NIOCore
import NIOHTTP1

/// Stands between the HTTP decoder and NIO's upgrade handler.
///
/// Hides every `Upgrade` that cannot become a WebSocket: NIO swallows the head of a request it asked an upgrader about and did not upgrade.
/// Answers heads that cannot be parsed, in the shape of all errors, where no other answer is under way.
final class RequestFilter: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let maxHeaderBytes: Int
    /// Called once, with the first head; ends the first request's deadline.
    private let firstHeadSeen: () -> Void
    private var sawFirstHead = false
    private var answersOwed = 0
    private var hasFailed = false

    init(maxHeaderBytes: Int, firstHeadSeen: @escaping () -> Void) {
        self.maxHeaderBytes = maxHeaderBytes
        self.firstHeadSeen = firstHeadSeen
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !hasFailed else { return }
        guard case .head(let head) = Self.unwrapInboundIn(data) else { return context.fireChannelRead(data) }
        guard head.uri.utf8.count <= maxHeaderBytes else {
            if answersOwed == 0 { return refuse(context, isTooLarge: true) }
            hasFailed = true
            return context.fireErrorCaught(HTTPParserError.headerOverflow)
        }
        answersOwed += 1
        if !sawFirstHead {
            sawFirstHead = true
            firstHeadSeen()
            if !Self.isWebSocketUpgrade(head) {
                var head = head
                head.headers.remove(name: "upgrade")
                return context.fireChannelRead(Self.wrapInboundOut(.head(head)))
            }
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = Self.unwrapOutboundIn(data) { answersOwed -= 1 }
        context.write(data, promise: promise)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? HTTPParserError, answersOwed <= 0, !hasFailed else { return context.fireErrorCaught(error) }
        refuse(context, isTooLarge: error == .headerOverflow)
    }

    /// A shutdown: without a request there is nothing to finish. The server's task may not have got to know this connection yet.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent, !sawFirstHead { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    private func refuse(_ context: ChannelHandlerContext, isTooLarge: Bool) {
        hasFailed = true
        firstHeadSeen()
        let requestID = String(UInt64.random(in: .min ... .max), radix: 16)
        let body =
            isTooLarge
            ? ErrorBody(
                error: "the request line or the header fields have more than \(maxHeaderBytes) bytes", code: "TOO_LARGE",
                requestID: requestID, details: ["limitBytes": .number(Int64(maxHeaderBytes))])
            : ErrorBody(error: "this is no HTTP/1.1 request", code: "BAD_REQUEST", requestID: requestID)
        let json = (try? body.json()) ?? []
        let headers: HTTPHeaders = [
            "Content-Type": "application/json", "Content-Length": "\(json.count)", "Connection": "close", "X-Request-Id": requestID,
        ]
        let head = HTTPResponseHead(version: .http1_1, status: isTooLarge ? .payloadTooLarge : .badRequest, headers: headers)
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        context.write(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: json)))), promise: nil)
        let bound = context.loopBound
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil))).whenComplete { _ in bound.value.close(promise: nil) }
    }

    /// RFC 6455 §4.2.1, and no body, which NIO's upgrade handler would choke on.
    static func isWebSocketUpgrade(_ head: HTTPRequestHead) -> Bool {
        head.method == .GET && head.version == .http1_1
            && head.headers[canonicalForm: "upgrade"].contains { $0.lowercased() == "websocket" }
            && head.headers[canonicalForm: "connection"].contains { $0.lowercased() == "upgrade" }
            && head.headers["sec-websocket-version"] == ["13"]
            && hasValidKey(head)
            && !head.headers.contains(name: "transfer-encoding")
            && head.headers["content-length"].allSatisfy { $0 == "0" }
    }

    /// One key, base64 of 16 bytes.
    private static func hasValidKey(_ head: HTTPRequestHead) -> Bool {
        let keys = head.headers["sec-websocket-key"]
        guard keys.count == 1, let key = keys.first?.utf8, key.count == 24, key.suffix(2).elementsEqual("==".utf8) else { return false }
        return key.dropLast(2).allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "+"), UInt8(ascii: "/"):
                true
            default: false
            }
        }
    }
}
