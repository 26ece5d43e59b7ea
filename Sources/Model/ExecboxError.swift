/// The one error of the domain: a code that decides what a caller can do, a sentence for the caller, and a detail for the log only.
///
/// It has no public description, so that nobody prints the private half by accident; one file of the server maps codes to HTTP.
public struct ExecboxError: Error, Sendable {
    public enum Code: String, Sendable, CaseIterable {
        case invalidArgument, unauthenticated, forbidden, notFound, methodNotAllowed, conflict, gone, tooLarge, upgradeRequired
        case idempotencyMismatch
        case quotaExceeded, rateLimited, unavailable, notImplemented, `internal`
    }

    public let code: Code
    /// What was wrong and what to do; goes to the caller.
    public let message: String
    /// What the caller may read by machine: `field`, `limitBytes`, `firstOffset` …
    public var details: [String: Detail]
    /// Goes to the log only.
    public var privateDetail: String?
    /// Seconds after which trying again makes sense.
    public var retryAfter: Int?

    public enum Detail: Equatable, Sendable {
        case text(String)
        case number(Int64)
    }

    public init(
        _ code: Code,
        _ message: String,
        details: [String: Detail] = [:],
        privateDetail: String? = nil,
        retryAfter: Int? = nil
    ) {
        self.code = code
        self.message = message
        self.details = details
        self.privateDetail = privateDetail
        self.retryAfter = retryAfter
    }

    /// Input that failed validation; `field` is its path in the body or the query parameter's name.
    public static func invalid(_ field: String, _ message: String) -> Self {
        Self(.invalidArgument, message, details: ["field": .text(field)])
    }

    /// A dependency that does not answer: `part` is what the caller is told, `detail` what the log gets.
    public static func unavailable(_ part: String, detail: String? = nil, retryAfter: Int = 2) -> Self {
        Self(.unavailable, "\(part) is not available at the moment, try again", privateDetail: detail, retryAfter: retryAfter)
    }
}
