import ExecboxModel
import HTTPTypes
import Hummingbird

/// A route as clients see it, written as OpenAPI does: `GET`, `/v1/sessions/{id}`.
package struct Route: Hashable, Sendable {
    package let method: String
    package let path: String

    package init(method: String, path: String) {
        self.method = method
        self.path = path
    }
}

/// Registers routes so that a known path with another method answers 405 with `Allow`, not 404.
struct RouteTable {
    typealias Handler = @Sendable (Request, ServerContext) async throws -> Response

    private static let methods: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete, .options]

    let group: RouterGroup<ServerContext>
    /// The path of `group`, which it does not tell: `/v1`, or nothing.
    let prefix: String
    /// Told of every route once.
    let record: (Route) -> Void

    typealias Stream = @Sendable (Request, ServerContext) async throws -> WebSocketAnswer

    /// - Parameters:
    ///   - scopes: what the caller's key needs; nil for routes without a caller.
    ///   - stream: what a GET does, if it is a WebSocket.
    func on(_ path: RouterPath, _ handlers: [HTTPRequest.Method: Handler], scopes: RouteScopes?, stream: Stream? = nil) {
        let names = handlers.keys.map(\.rawValue) + (stream == nil ? [] : [HTTPRequest.Method.get.rawValue])
        let allowed = names.sorted().joined(separator: ", ")
        let place = prefix + path.description.replacing("**", with: "{path}")
        for name in names { record(Route(method: name, path: place)) }
        for method in Self.methods {
            if method == .get, let stream {
                group.webSocket(path) { request, context in
                    try scopes?.check(.get, try context.caller)
                    return try await stream(request, context)
                }
            } else if let handler = handlers[method] {
                group.on(path, method: method) { request, context in
                    try scopes?.check(method, try context.caller)
                    return try await handler(request, context)
                }
            } else {
                group.on(path, method: method) { request, _ -> Response in
                    throw ExecboxError(
                        .methodNotAllowed,
                        "\(request.method.rawValue) is not taken here, but \(allowed)",
                        details: ["allow": .text(allowed)]
                    )
                }
            }
        }
    }
}
