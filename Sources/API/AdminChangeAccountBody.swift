import ExecboxModel

/// `POST /v1/admin/accounts`, which needs a name, and `PATCH /v1/admin/accounts/{id}`: what is absent stays, `null` clears.
public struct AdminChangeAccountBody: Equatable, Sendable {
    public var name: String?
    public var email: String??
    public var tier: String?
    public var tierExpiresAt: Timestamp??

    /// Decodes and validates a request's body.
    public init(json body: some Sequence<UInt8>, isNew: Bool) throws(ExecboxError) {
        var object = try JSONObjectReader.parse(body)
        name = isNew ? try object.required("name").label(max: 255) : try object.optional("name")?.label(max: 255)
        email = try object.change("email") { reader throws(ExecboxError) in try reader.email() }
        tier = try object.optional("tier")?.label(max: 32)
        tierExpiresAt = try object.change("tier_expires_at") { reader throws(ExecboxError) in try reader.timestamp() }
        try object.finish()
    }
}
