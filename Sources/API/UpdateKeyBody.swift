import ExecboxModel

/// `PUT /v1/account/keys/{id}`: what is absent stays, `null` clears.
public struct UpdateKeyBody: Equatable, Sendable {
    public static let maxNameCharacters = 255
    public static let maxDescriptionCharacters = 1000

    public var name: String?
    public var isActive: Bool?
    public var scopes: Set<Scope>?
    public var description: String??
    public var expiresAt: Timestamp??
    public var customDailyLimit: Int??
    public var customConcurrentLimit: Int??
    public var customRateLimit: Int??

    /// Decodes and validates a request's body.
    public init(json body: some Sequence<UInt8>) throws(ExecboxError) {
        var object = try JSONObjectReader.parse(body)
        object.ignore("$schema")
        name = try object.optional("name")?.label(max: Self.maxNameCharacters)
        isActive = try object.optional("is_active")?.bool()
        scopes = try object.optional("scopes")?.scopes()
        description = try object.change("description") { reader throws(ExecboxError) in
            try reader.label(max: Self.maxDescriptionCharacters, mayBeEmpty: true)
        }
        expiresAt = try object.change("expires_at") { reader throws(ExecboxError) in try reader.timestamp() }
        customDailyLimit = try object.change("custom_daily_limit") { reader throws(ExecboxError) in try reader.count() }
        customConcurrentLimit = try object.change("custom_concurrent_limit") { reader throws(ExecboxError) in try reader.count() }
        customRateLimit = try object.change("custom_rate_limit") { reader throws(ExecboxError) in try reader.count() }
        try object.finish()
    }
}
