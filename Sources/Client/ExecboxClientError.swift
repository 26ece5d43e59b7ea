import ExecboxAPI
import ExecboxModel

/// What went wrong, as the server said it or as the client noticed it.
public struct ExecboxClientError: Error, Sendable, CustomStringConvertible {
    /// The server's `code`, or one of the client's own.
    public struct Code: RawRepresentable, Hashable, Sendable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        public static let badRequest = Self(rawValue: "BAD_REQUEST")
        public static let unauthorized = Self(rawValue: "UNAUTHORIZED")
        public static let forbidden = Self(rawValue: "FORBIDDEN")
        public static let notFound = Self(rawValue: "NOT_FOUND")
        public static let conflict = Self(rawValue: "CONFLICT")
        public static let gone = Self(rawValue: "GONE")
        public static let tooLarge = Self(rawValue: "TOO_LARGE")
        public static let rateLimitExceeded = Self(rawValue: "RATE_LIMIT_EXCEEDED")
        public static let quotaExceeded = Self(rawValue: "QUOTA_EXCEEDED")
        public static let notImplemented = Self(rawValue: "NOT_IMPLEMENTED")
        public static let backendUnavailable = Self(rawValue: "BACKEND_UNAVAILABLE")
        /// The client's own: nobody answers there.
        public static let unreachable = Self(rawValue: "UNREACHABLE")
        /// The client's own: no answer in time.
        public static let timedOut = Self(rawValue: "TIMED_OUT")
        /// The client's own: an answer that is none of this API.
        public static let invalidResponse = Self(rawValue: "INVALID_RESPONSE")
        /// The client's own: a stream was lost and could not be resumed.
        public static let streamLost = Self(rawValue: "STREAM_LOST")
        /// The client's own: the stream has ended.
        public static let streamEnded = Self(rawValue: "STREAM_ENDED")
        /// The client's own: the server's address is none.
        public static let invalidURL = Self(rawValue: "INVALID_URL")
    }

    public let code: Code
    /// A sentence for people.
    public let message: String
    /// Nil where there was no HTTP answer.
    public let status: Int?
    public let requestID: String?
    public let details: [String: ExecboxError.Detail]
    /// Seconds, if the server named them.
    public let retryAfter: Int?

    public init(
        _ code: Code, _ message: String, status: Int? = nil, requestID: String? = nil, details: [String: ExecboxError.Detail] = [:],
        retryAfter: Int? = nil
    ) {
        self.code = code
        self.message = message
        self.status = status
        self.requestID = requestID
        self.details = details
        self.retryAfter = retryAfter
    }

    /// An answer of 300 or more.
    init(status: Int, body: [UInt8], retryAfter: Int?) {
        if let decoded = try? ErrorBody.fromJSON(body) {
            self.init(
                Code(rawValue: decoded.code), decoded.error, status: status, requestID: decoded.requestID, details: decoded.details ?? [:],
                retryAfter: retryAfter)
        } else {
            // A proxy in between, or no execbox server at all.
            let code = status >= 500 ? Code.backendUnavailable : Code.invalidResponse
            self.init(code, "the server answered \(status) without an error of this API", status: status, retryAfter: retryAfter)
        }
    }

    public var description: String { requestID.map { "\(message) (\(code.rawValue), request \($0))" } ?? "\(message) (\(code.rawValue))" }

    /// Trying again later may help.
    var isTransient: Bool {
        switch code {
        case .unreachable, .timedOut, .backendUnavailable, .rateLimitExceeded: true
        default: (status ?? 0) >= 500 && code != .notImplemented
        }
    }
}
