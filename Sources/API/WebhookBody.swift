import ExecboxModel

/// A webhook, and in the answer to its creation the secret.
public struct WebhookBody: Equatable, Sendable, Codable {
    public var id: String
    public var url: String
    public var events: [String]
    public var isActive: Bool
    public var createdAt: Timestamp
    /// What deliveries are signed with; shown once.
    public var secret: String?

    private enum CodingKeys: String, CodingKey {
        case id, url, events, secret
        case isActive = "is_active"
        case createdAt = "created_at"
    }

    public init(id: String, url: String, events: [String], isActive: Bool, createdAt: Timestamp, secret: String?) {
        self.id = id
        self.url = url
        self.events = events
        self.isActive = isActive
        self.createdAt = createdAt
        self.secret = secret
    }
}
