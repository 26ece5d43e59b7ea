import ExecboxModel

/// The one shape of every error (PROTOCOL §1).
public struct ErrorBody: Equatable, Sendable, Codable {
    /// A sentence: what was wrong and what to do.
    public var error: String
    /// `NOT_FOUND` …
    public var code: String
    public var requestID: String
    public var details: [String: ExecboxError.Detail]?

    private enum CodingKeys: String, CodingKey {
        case error, code, details
        case requestID = "requestId"
    }

    public init(error: String, code: String, requestID: String, details: [String: ExecboxError.Detail]? = nil) {
        self.error = error
        self.code = code
        self.requestID = requestID
        self.details = details
    }
}
