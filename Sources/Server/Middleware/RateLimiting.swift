import ExecboxCore
import ExecboxModel
import HTTPTypes
import Hummingbird

/// Counts every request of a caller: streams and long uploads once, however long they take (PROTOCOL §1).
struct RateLimiting: RouterMiddleware {
    let limiter: RateLimiter

    func handle(
        _ request: Request,
        context: ServerContext,
        next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        let outcome = try await limiter.admit(RateLimit.requests(of: context.caller))
        context.rate.status = outcome.status
        if case .refused(let error, _) = outcome { throw error }
        return try await next(request, context)
    }
}

extension HTTPFields {
    /// `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`.
    mutating func set(_ status: RateStatus) {
        for (name, value) in [
            ("RateLimit-Limit", status.limit), ("RateLimit-Remaining", status.remaining), ("RateLimit-Reset", status.resetSeconds),
        ] {
            if let name = HTTPField.Name(name) { self[name] = "\(value)" }
        }
    }
}
