import ExecboxWebSocket
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import ServiceLifecycle

/// A connection to the server: HTTP/1.1, or a WebSocket if its first request asks for one and the router agrees.
package struct UpgradableHTTP1Channel<Streams: HTTPResponder>: ServerChildChannel, HTTPChannelHandler
where Streams.Context: UpgradableRequestContext, Streams.Context.Source == ApplicationRequestContextSource {
    enum Outcome: Sendable {
        case http(NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>)
        case refused(NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>)
        case webSocket(WebSocketConnection)
    }

    package struct Value: ServerChildChannelValue {
        package let channel: any Channel
        let outcome: EventLoopFuture<Outcome>
        let decision: UpgradeDecision
    }

    package let responder: HTTPChannelHandler.Responder
    private let streams: Streams
    private let options: HTTPConnectionOptions

    /// - Parameters:
    ///   - responder: answers ordinary requests.
    ///   - streams: the same router again; it decides about upgrades, with all of its middleware.
    package init(responder: @escaping HTTPChannelHandler.Responder, streams: Streams, options: HTTPConnectionOptions) {
        self.responder = responder
        self.streams = streams
        self.options = options
    }

    // MARK: On the event loop

    package func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let decision = UpgradeDecision()
            let operations = channel.pipeline.syncOperations
            // Nothing in the pipeline times out a peer that never sends a head.
            let deadline = channel.eventLoop.scheduleTask(in: options.firstRequestTimeout) { channel.close(promise: nil) }
            channel.closeFuture.whenComplete { _ in deadline.cancel() }
            var limits = NIOHTTPDecoderLimitConfiguration()
            limits.maxHeaderFieldSize = options.maxHeaderBytes
            limits.maxHeaderListSize = options.maxHeaderBytes
            let encoder = HTTPResponseEncoder()
            let decoder = ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: limits))
            let filter = RequestFilter(maxHeaderBytes: options.maxHeaderBytes) { deadline.cancel() }
            let upgradeHandler = NIOTypedHTTPServerUpgradeHandler<Outcome>(
                httpEncoder: encoder, extraHTTPHandlers: [decoder, filter],
                upgradeConfiguration: .init(
                    upgraders: [upgrader(decision, logger)],
                    notUpgradingCompletionHandler: { channel in
                        channel.eventLoop.makeCompletedFuture { try plain(channel, decision, logger) }
                    }))
            try operations.addHandler(encoder)
            try operations.addHandler(decoder)
            try operations.addHandler(filter)
            try operations.addHandler(upgradeHandler)
            return Value(channel: channel, outcome: upgradeHandler.upgradeResultFuture, decision: decision)
        }
    }

    private func upgrader(_ decision: UpgradeDecision, _ logger: Logger) -> WebSocketServerUpgrader<Outcome> {
        WebSocketServerUpgrader(
            shouldUpgrade: { channel, head in
                let promise = channel.eventLoop.makePromise(of: HTTPHeaders?.self)
                promise.completeWithTask {
                    let made = await decide(head, channel: channel, logger: logger)
                    decision.set(made)
                    guard case .accepted(let headers, _) = made else { return nil }
                    return HTTPHeaders(headers)
                }
                return promise.futureResult
            },
            upgraded: { channel in
                // Where the channel is no socket, the mark stays as it is.
                try? channel.syncOptions?.setOption(.writeBufferWaterMark, value: .init(low: 128 * 1024, high: 256 * 1024))
                return .webSocket(
                    try WebSocketConnection.install(
                        on: channel, role: .server, subprotocol: decision.subprotocol, options: options.webSocket))
            })
    }

    private func plain(_ channel: any Channel, _ decision: UpgradeDecision, _ logger: Logger) throws -> Outcome {
        let operations = channel.pipeline.syncOperations
        try operations.addHandler(HTTP1ToHTTPServerCodec(secure: false))
        try operations.addHandler(HTTPConnectionStateHandler(idleTimeout: Duration(options.idleTimeout), logger: logger))
        let http = try NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>(
            wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
        return decision.isRefused ? .refused(http) : .http(http)
    }

    // MARK: In the connection's task

    package func handle(value: Value, logger: Logger) async {
        do {
            let outcome = try await withGracefulShutdownHandler {
                try await value.outcome.get()
            } onGracefulShutdown: {
                // Without a request there is nothing to finish.
                value.channel.eventLoop.execute {
                    if !value.outcome.isCompleted { value.channel.close(promise: nil) }
                }
            }
            switch (outcome, value.decision.take()) {
            case (.http(let channel), _): await handleHTTP(asyncChannel: channel, logger: logger)
            case (.refused(let channel), .refused(let response)): try await refuse(channel, response)
            case (.webSocket(let connection), .accepted(_, let answer)): await run(answer, on: connection, logger)
            case (.refused, _), (.webSocket, _): value.channel.close(promise: nil)
            }
        } catch {
            logger.debug("a connection failed", metadata: ["error": "\(error)"])
            value.channel.close(promise: nil)
            if case .accepted(_, let answer) = value.decision.take() { await answer.abandoned() }
        }
    }

    /// Asks the router, as for any other request.
    private func decide(_ head: HTTPRequestHead, channel: any Channel, logger: Logger) async -> UpgradeDecision.Made {
        do {
            let request = Request(
                head: try HTTPRequest(head, secure: false, splitCookie: false), body: RequestBody(buffer: ByteBuffer()))
            var logger = logger
            logger[metadataKey: "hb.request.id"] = "\(RequestID())"
            let context = Streams.Context(source: .init(channel: channel, logger: logger))
            context.upgrade.offer()
            do {
                let response = try await streams.respond(to: request, context: context)
                guard let answer = context.upgrade.take() else { return .refused(response) }
                guard response.status == .switchingProtocols else {
                    // A middleware changed its mind behind the route.
                    await answer.abandoned()
                    return .refused(response)
                }
                return .accepted(response.headers, answer)
            } catch let error as any HTTPResponseError {
                return .refused(try error.response(from: request, context: context))
            }
        } catch {
            logger.error("an upgrade request failed", metadata: ["error": "\(error)"])
            return .refused(Response(status: .internalServerError))
        }
    }

    /// The request's head is gone with the upgrade that failed, so this is the connection's last answer.
    private func refuse(_ channel: NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>, _ response: Response) async throws {
        try await channel.executeThenClose { _, outbound in
            var head = response.head
            head.headerFields[.connection] = "close"
            if let length = response.body.contentLength { head.headerFields[.contentLength] = "\(length)" }
            try await ResponseWriter(outbound: outbound).write(response: head, body: response.body)
        }
    }

    private func run(_ answer: WebSocketAnswer, on connection: WebSocketConnection, _ logger: Logger) async {
        await withGracefulShutdownHandler {
            var code = WebSocketCloseCode.normal
            do {
                try await answer.run(connection)
            } catch is CancellationError {
                code = .goingAway
            } catch WebSocketError.closed {
                // The end is known already.
            } catch {
                logger.error("a stream failed", metadata: ["error": "\(error)"])
                code = .internalError
            }
            await connection.close(code)
        } onGracefulShutdown: {
            connection.beginClose(.goingAway, reason: "server is shutting down", discardingQueued: true)
        }
    }
}

extension EventLoopFuture where Value: Sendable {
    /// To be asked on the loop.
    fileprivate var isCompleted: Bool {
        var isCompleted = false
        assumeIsolated().whenComplete { _ in isCompleted = true }
        return isCompleted
    }
}
