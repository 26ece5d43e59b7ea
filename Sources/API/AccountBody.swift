import ExecboxModel

/// `GET /v1/account`.
public struct AccountBody: Equatable, Sendable, Codable {
    public var id: String
    public var name: String
    public var email: String?
    /// The tier in force now.
    public var tier: String
    public var tierExpiresAt: Timestamp?
    /// The key that asks.
    public var apiKeyID: String
    public var apiKeyPreview: String
    public var createdAt: Timestamp

    private enum CodingKeys: String, CodingKey {
        case id, name, email, tier
        case tierExpiresAt = "tier_expires_at"
        case apiKeyID = "api_key_id"
        case apiKeyPreview = "api_key_preview"
        case createdAt = "created_at"
    }

    public init(
        id: String, name: String, email: String?, tier: String, tierExpiresAt: Timestamp?, apiKeyID: String, apiKeyPreview: String,
        createdAt: Timestamp
    ) {
        self.id = id
        self.name = name
        self.email = email
        self.tier = tier
        self.tierExpiresAt = tierExpiresAt
        self.apiKeyID = apiKeyID
        self.apiKeyPreview = apiKeyPreview
        self.createdAt = createdAt
    }
}
