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
        let outcome = try await limiter.admit(context.caller.rateLimits)
        context.rate.status = outcome.status
        if case .refused(let error, _) = outcome { throw error }
        return try await next(request, context)
    }
}

extension HTTPField.Name {
    static let rateLimit = Self("RateLimit-Limit")
    static let rateLimitRemaining = Self("RateLimit-Remaining")
    static let rateLimitReset = Self("RateLimit-Reset")
}

extension HTTPFields {
    /// `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`.
    mutating func append(_ status: RateStatus) {
        if let name = HTTPField.Name.rateLimit { append(HTTPField(name: name, value: String(status.limit))) }
        if let name = HTTPField.Name.rateLimitRemaining { append(HTTPField(name: name, value: String(status.remaining))) }
        if let name = HTTPField.Name.rateLimitReset { append(HTTPField(name: name, value: String(status.resetSeconds))) }
    }
}
