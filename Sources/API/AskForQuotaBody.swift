import ExecboxModel

/// `POST /v1/quota-requests`.
public struct AskForQuotaBody: Equatable, Sendable {
    private static let maxCharacters = 2000

    public var email: String
    public var name: String?
    public var company: String?
    public var useCase: String?
    public var requestedLimits: String?
    public var budget: String?

    /// Decodes and validates a request's body.
    public init(json body: some Sequence<UInt8>) throws(ExecboxError) {
        var object = try JSONObjectReader.parse(body)
        object.ignore("$schema")
        email = try object.required("email").email()
        name = try object.optional("name")?.label(max: 255, mayBeEmpty: true)
        company = try object.optional("company")?.label(max: 255, mayBeEmpty: true)
        useCase = try object.optional("use_case")?.label(max: Self.maxCharacters, mayBeEmpty: true)
        requestedLimits = try object.optional("requested_limits")?.label(max: Self.maxCharacters, mayBeEmpty: true)
        budget = try object.optional("budget")?.label(max: 255, mayBeEmpty: true)
        try object.finish()
    }
}
