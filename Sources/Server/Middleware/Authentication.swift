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
            let space = UInt8(ascii: " ")
            guard let end = header.utf8.firstIndex(of: space), header[..<end].lowercased() == "bearer" else { return nil }
            return String(Substring(header.utf8[end...].drop { $0 == space }))
        }
        return request.offeredSubprotocols.first { $0.hasPrefix(bearerSubprotocol) }.map { String($0.dropFirst(bearerSubprotocol.count)) }
    }
}
