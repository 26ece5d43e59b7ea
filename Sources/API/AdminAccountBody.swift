import ExecboxModel

/// An account as operators see it.
public struct AdminAccountBody: Equatable, Sendable, Codable {
    public var id: String
    public var name: String
    public var email: String?
    /// The tier in force now.
    public var tier: String
    public var tierExpiresAt: Timestamp?
    public var limits: AccountLimitsBody
    public var createdAt: Timestamp

    private enum CodingKeys: String, CodingKey {
        case id, name, email, tier, limits
        case tierExpiresAt = "tier_expires_at"
        case createdAt = "created_at"
    }

    public init(
        id: String, name: String, email: String?, tier: String, tierExpiresAt: Timestamp?, limits: AccountLimitsBody, createdAt: Timestamp
    ) {
        self.id = id
        self.name = name
        self.email = email
        self.tier = tier
        self.tierExpiresAt = tierExpiresAt
        self.limits = limits
        self.createdAt = createdAt
    }
}
