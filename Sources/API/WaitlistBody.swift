import ExecboxModel

/// `POST /v1/waitlist`.
public struct WaitlistBody: Equatable, Sendable {
    public var email: String
    public var name: String?

    /// Decodes and validates a request's body.
    public init(json body: some Sequence<UInt8>) throws(ExecboxError) {
        var object = try JSONObjectReader.parse(body)
        object.ignore("$schema")
        email = try object.required("email").email()
        name = try object.optional("name")?.label(max: 255)
        try object.finish()
    }
}
