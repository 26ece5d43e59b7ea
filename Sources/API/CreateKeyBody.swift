import ExecboxModel

/// `POST /v1/account/keys`.
public struct CreateKeyBody: Equatable, Sendable, Encodable {
    public var name: String
    public var description: String?
    public var expiresAt: Timestamp?
    public var customDailyLimit: Int?
    public var customConcurrentLimit: Int?
    public var customRateLimit: Int?
    /// Nil for those of the key that asks, without `admin`.
    public var scopes: Set<Scope>?

    private enum CodingKeys: String, CodingKey {
        case name, description, scopes
        case expiresAt = "expires_at"
        case customDailyLimit = "custom_daily_limit"
        case customConcurrentLimit = "custom_concurrent_limit"
        case customRateLimit = "custom_rate_limit"
    }

    public init(name: String) { self.name = name }

    /// Decodes and validates a request's body.
    public init(json body: some Sequence<UInt8>) throws(ExecboxError) {
        var object = try JSONObjectReader.parse(body)
        object.ignore("$schema")
        name = try object.required("name").label(max: UpdateKeyBody.maxNameCharacters)
        description = try object.optional("description")?.label(max: UpdateKeyBody.maxDescriptionCharacters, mayBeEmpty: true)
        expiresAt = try object.optional("expires_at")?.timestamp()
        customDailyLimit = try object.optional("custom_daily_limit")?.count()
        customConcurrentLimit = try object.optional("custom_concurrent_limit")?.count()
        customRateLimit = try object.optional("custom_rate_limit")?.count()
        scopes = try object.optional("scopes")?.scopes()
        try object.finish()
    }
}
