import ExecboxModel
import HTTPTypes
import Hummingbird
import Logging

extension HTTPField.Name {
    static let requestID = Self("X-Request-Id")
}

/// The outermost middleware: gives the request its id, turns every error into the one shape, and tells of every answer.
struct RequestIdentity: RouterMiddleware {
    let onAnswer: @Sendable (RequestRecord) -> Void
    private let ids = RequestIDs()

    init(onAnswer: @escaping @Sendable (RequestRecord) -> Void) { self.onAnswer = onAnswer }

    func handle(
        _ request: Request,
        context: ServerContext,
        next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        context.requestID = Self.ownID(of: request) ?? ids.next()
        let start = ContinuousClock.now
        var response: Response
        do {
            response = try await next(request, context)
        } catch {
            let error = ExecboxError(any: error)
            if let detail = error.privateDetail {
                let level: Logger.Level = error.code == .internal ? .error : .warning
                context.logger.log(
                    level: level, "A request failed",
                    metadata: ["detail": "\(detail)", "code": "\(error.wireCode)", "requestId": "\(context.requestID)"])
            }
            response = error.response(requestID: context.requestID)
        }
        if let rate = context.rate.status { response.headers.append(rate) }
        if let name = HTTPField.Name.requestID { response.headers.append(HTTPField(name: name, value: context.requestID)) }
        onAnswer(
            RequestRecord(
                requestID: context.requestID, method: request.method.rawValue, path: request.uri.path, status: response.status.code,
                durationMs: start.duration(to: .now).microseconds / 1000))
        return response
    }

    /// The caller's own id if it is 1-128 visible ASCII characters.
    private static func ownID(of request: Request) -> String? {
        guard let name = HTTPField.Name.requestID, let own = request.headers[name], (1...128).contains(own.utf8.count),
            own.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else { return nil }
        return own
    }
}
