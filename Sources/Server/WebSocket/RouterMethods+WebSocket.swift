import ExecboxModel
import HTTPTypes
import Hummingbird

extension RouterMethods where Context: UpgradableRequestContext {
    /// A stream route.
    ///
    /// `prepare` runs behind the router's middleware and before the 101: what it throws is an ordinary HTTP answer. A request that is no
    /// valid upgrade throws `upgradeRequired` without running it.
    @discardableResult
    package func webSocket(
        _ path: RouterPath, prepare: @escaping @Sendable (Request, Context) async throws -> WebSocketAnswer
    ) -> Self {
        on(path, method: .get) { request, context -> Response in
            guard context.upgrade.isOffered else {
                throw ExecboxError(.upgradeRequired, "this is a stream: ask for it with a WebSocket upgrade (RFC 6455)")
            }
            let answer = try await prepare(request, context)
            var headers = answer.headers
            if let subprotocol = answer.subprotocol { headers[.secWebSocketProtocol] = subprotocol }
            context.upgrade.put(answer)
            return Response(status: .switchingProtocols, headers: headers)
        }
    }
}

extension Request {
    /// The subprotocols a WebSocket client offers, in its order.
    package var offeredSubprotocols: [String] {
        headers[values: .secWebSocketProtocol].flatMap { $0.split(separator: ",") }
            .map { String($0.drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }.reversed()) }
            .filter { !$0.isEmpty }
    }
}
