import ExecboxModel
import HTTPTypes
import Hummingbird

/// `Idempotency-Key` is not honoured by this server: a caller that relies on it must hear so before anything happens (PROTOCOL §1).
struct IdempotencyGate: RouterMiddleware {
    func handle(
        _ request: Request,
        context: ServerContext,
        next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        if request.method == .post, let name = HTTPField.Name("Idempotency-Key"), request.headers[name] != nil {
            throw ExecboxError(
                .notImplemented,
                "Idempotency-Key is not offered by this server",
                details: ["field": .text("Idempotency-Key")]
            )
        }
        return try await next(request, context)
    }
}
