import ExecboxModel
import HTTPTypes
import Hummingbird
import Logging

extension HTTPField.Name {
    static let requestID = Self("X-Request-Id")
}

/// The outermost middleware: gives the request its id, turns every error into the one shape, and writes one log line a request.
struct RequestIdentity: RouterMiddleware {
    func handle(
        _ request: Request,
        context: ServerContext,
        next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        context.requestID = Self.requestID(of: request)
        context.logger[metadataKey: "requestId"] = "\(context.requestID)"
        let start = ContinuousClock.now
        var response: Response
        do {
            response = try await next(request, context)
        } catch {
            let error = ExecboxError(any: error)
            if let detail = error.privateDetail {
                let level: Logger.Level = error.code == .internal ? .error : .warning
                context.logger.log(level: level, "A request failed", metadata: ["detail": "\(detail)", "code": "\(error.wireCode)"])
            }
            response = error.response(requestID: context.requestID)
        }
        if let rate = context.rate.status { response.headers.set(rate) }
        if let name = HTTPField.Name.requestID { response.headers[name] = context.requestID }
        context.logger.info(
            "Request",
            metadata: [
                "method": "\(request.method.rawValue)", "path": "\(request.uri.path)", "status": "\(response.status.code)",
                "durationMs": "\(start.duration(to: .now).microseconds / 1000)",
            ]
        )
        return response
    }

    /// The caller's own id if it is 1-128 visible ASCII characters, else a new one.
    private static func requestID(of request: Request) -> String {
        if let name = HTTPField.Name.requestID, let own = request.headers[name], (1...128).contains(own.utf8.count),
            own.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        {
            return own
        }
        var generator = SystemRandomNumberGenerator()
        return "req_" + ULID(unixMilliseconds: UInt64(Timestamp.now.unixMicroseconds / 1000), random: &generator).text
    }
}
