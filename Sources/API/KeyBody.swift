import ExecboxModel

/// An API key as everybody but its maker sees it.
public struct KeyBody: Equatable, Sendable, Codable {
    public var id: String
    /// The key, shown once: only in the answers to create and rotate.
    public var key: String?
    /// Enough to tell keys apart.
    public var keyPreview: String
    public var name: String
    public var description: String?
    public var isActive: Bool
    public var scopes: [Scope]
    public var customDailyLimit: Int?
    public var customConcurrentLimit: Int?
    /// Requests a second.
    public var customRateLimit: Int?
    public var createdAt: Timestamp
    public var expiresAt: Timestamp?
    public var lastUsedAt: Timestamp?

    private enum CodingKeys: String, CodingKey {
        case id, key, name, description, scopes
        case keyPreview = "key_preview"
        case isActive = "is_active"
        case customDailyLimit = "custom_daily_limit"
        case customConcurrentLimit = "custom_concurrent_limit"
        case customRateLimit = "custom_rate_limit"
        case createdAt = "created_at"
        case expiresAt = "expires_at"
        case lastUsedAt = "last_used_at"
    }

    public init(
        id: String, key: String? = nil, keyPreview: String, name: String, description: String?, isActive: Bool, scopes: [Scope],
        customDailyLimit: Int?, customConcurrentLimit: Int?, customRateLimit: Int?, createdAt: Timestamp, expiresAt: Timestamp?,
        lastUsedAt: Timestamp?
    ) {
        self.id = id
        self.key = key
        self.keyPreview = keyPreview
        self.name = name
        self.description = description
        self.isActive = isActive
        self.scopes = scopes
        self.customDailyLimit = customDailyLimit
        self.customConcurrentLimit = customConcurrentLimit
        self.customRateLimit = customRateLimit
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.lastUsedAt = lastUsedAt
    }
}
