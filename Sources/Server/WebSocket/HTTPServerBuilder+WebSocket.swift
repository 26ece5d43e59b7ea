import HTTPTypes
import Hummingbird
import HummingbirdCore

extension HTTPServerBuilder {
    /// HTTP/1.1 with stream routes.
    ///
    ///     let responder = router.buildResponder()
    ///     Application(responder: responder, server: .http1WithStreams(responder), …)
    package static func http1WithStreams<Streams: HTTPResponder>(
        _ streams: Streams, options: HTTPConnectionOptions = .init()
    ) -> HTTPServerBuilder where Streams.Context: UpgradableRequestContext, Streams.Context.Source == ApplicationRequestContextSource {
        HTTPServerBuilder { responder in
            UpgradableHTTP1Channel(responder: redirectingLateUpgrades(responder), streams: streams, options: options)
        }
    }

    private struct RedirectedLateUpgrade: Error {}

    /// Only a connection's first request can upgrade it: a later one, which a proxy with kept connections may send, is sent to a new one.
    private static func redirectingLateUpgrades(_ responder: @escaping HTTPChannelHandler.Responder) -> HTTPChannelHandler.Responder {
        { request, writer, channel in
            // The filter has taken this header off a first request that came this way.
            guard request.headers[.upgrade]?.lowercased() == "websocket", request.method == .get else {
                return try await responder(request, writer, channel)
            }
            try await writer.writeResponse(
                HTTPResponse(
                    status: .temporaryRedirect,
                    headerFields: [.connection: "close", .location: request.head.path ?? "/", .contentLength: "0"]))
            // Ends the connection; `handleHTTP` does not look at our `Connection: close`.
            throw RedirectedLateUpgrade()
        }
    }
}
