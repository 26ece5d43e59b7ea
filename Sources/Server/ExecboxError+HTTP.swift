import ExecboxAPI
import ExecboxModel
import ExecboxPostgres
import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1

// The one place that knows what an error is in HTTP (PROTOCOL §1, "Errors").

extension ExecboxError {
    package var httpStatus: HTTPResponse.Status {
        switch code {
        case .invalidArgument: .badRequest
        case .unauthenticated: .unauthorized
        case .forbidden: .forbidden
        case .notFound: .notFound
        case .methodNotAllowed: .methodNotAllowed
        case .conflict: .conflict
        case .gone: .gone
        case .tooLarge: .contentTooLarge
        case .idempotencyMismatch: .unprocessableContent
        case .upgradeRequired: HTTPResponse.Status(code: 426, reasonPhrase: "Upgrade Required")
        case .quotaExceeded, .rateLimited: .tooManyRequests
        case .unavailable: .serviceUnavailable
        case .notImplemented: .notImplemented
        case .internal: .internalServerError
        }
    }

    package var wireCode: String {
        switch code {
        case .invalidArgument: "BAD_REQUEST"
        case .unauthenticated: "UNAUTHORIZED"
        case .forbidden: "FORBIDDEN"
        case .notFound: "NOT_FOUND"
        case .methodNotAllowed: "METHOD_NOT_ALLOWED"
        case .conflict: "CONFLICT"
        case .gone: "GONE"
        case .tooLarge: "TOO_LARGE"
        case .idempotencyMismatch: "IDEMPOTENCY_MISMATCH"
        case .upgradeRequired: "UPGRADE_REQUIRED"
        case .quotaExceeded: "QUOTA_EXCEEDED"
        case .rateLimited: "RATE_LIMIT_EXCEEDED"
        case .unavailable: "BACKEND_UNAVAILABLE"
        case .notImplemented: "NOT_IMPLEMENTED"
        case .internal: "INTERNAL"
        }
    }

    /// Whatever was thrown below the routes, as something a caller may see.
    package init(any error: any Error) {
        switch error {
        case let error as ExecboxError: self = error
        case let error as PostgresError where Self.isUnavailability(error):
            self = .unavailable("the database", detail: error.debugDescription)
        case let error as PostgresError:
            self = ExecboxError(.internal, "internal error", privateDetail: error.debugDescription)
        case is NIOTooManyBytesError: self = ExecboxError(.tooLarge, "the body is too large")
        case let error as any HTTPResponseError: self.init(status: error.status)
        default: self = ExecboxError(.internal, "internal error", privateDetail: String(reflecting: error))
        }
    }

    private static func isUnavailability(_ error: PostgresError) -> Bool {
        switch error.code {
        case .unavailable, .exhausted, .closed, .connectionLost, .timeout, .cluster: true
        // Shut down, starting up, out of connections: the server's words for the same. A deadlock's victim may try again.
        default: error.isServer(class: "57") || error.isServer(class: "40") || error.isServer(class: "53") || error.isServer(class: "08")
        }
    }

    /// The framework's own refusals.
    private init(status: HTTPResponse.Status) {
        switch status.code {
        case 404: self = ExecboxError(.notFound, "no such route")
        case 405: self = ExecboxError(.methodNotAllowed, "this route does not take that method")
        case 413: self = ExecboxError(.tooLarge, "the body is too large")
        case 400..<500: self = ExecboxError(.invalidArgument, "malformed request")
        default: self = ExecboxError(.internal, "internal error", privateDetail: "the framework answered \(status)")
        }
    }

    package func response(requestID: String) -> Response {
        let body = ErrorBody(error: message, code: wireCode, requestID: requestID, details: details.isEmpty ? nil : details)
        var headers: HTTPFields = [.contentType: "application/json"]
        if let retryAfter { headers[.retryAfter] = "\(retryAfter)" }
        if case .text(let allowed)? = details["allow"] { headers[.allow] = allowed }
        if code == .unauthenticated { headers[.wwwAuthenticate] = "Bearer" }
        if code == .upgradeRequired { headers[.upgrade] = "websocket" }
        let bytes = (try? body.json()) ?? []
        return Response(status: httpStatus, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
