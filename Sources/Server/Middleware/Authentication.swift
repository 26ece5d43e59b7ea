import ExecboxCore
import ExecboxModel
import HTTPTypes
import Hummingbird

/// Finds out who calls: `Authorization: Bearer`, or for a browser's WebSocket the subprotocol `execbox.bearer.<key>` (PROTOCOL §1).
struct Authentication: RouterMiddleware {
    static let bearerSubprotocol = "execbox.bearer."

    let authenticator: Authenticator

    func handle(
        _ request: Request,
        context: ServerContext,
        next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        context.authenticated = try await authenticator.caller(bearer: Self.bearer(of: request))
        return try await next(request, context)
    }

    static func bearer(of request: Request) -> String? {
        if let header = request.headers[.authorization] {
            let parts = header.split(separator: " ", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
            return parts[1].trimmingPrefix { $0 == " " }.description
        }
        return request.offeredSubprotocols.first { $0.hasPrefix(bearerSubprotocol) }.map { String($0.dropFirst(bearerSubprotocol.count)) }
    }
}
