import ExecboxModel

/// One event on its way to a webhook, or there.
public struct WebhookDeliveryBody: Equatable, Sendable, Codable {
    public var id: String
    public var event: String
    /// `pending`, `delivered` or `failed`.
    public var status: String
    public var attempts: Int
    public var nextAttemptAt: Timestamp?
    /// Of the latest answer, if there was one.
    public var lastStatus: Int?
    public var lastError: String?
    public var createdAt: Timestamp
    public var endedAt: Timestamp?

    private enum CodingKeys: String, CodingKey {
        case id, event, status, attempts
        case nextAttemptAt = "next_attempt_at"
        case lastStatus = "last_status"
        case lastError = "last_error"
        case createdAt = "created_at"
        case endedAt = "ended_at"
    }

    public init(id: String, event: String, status: String, attempts: Int, createdAt: Timestamp) {
        self.id = id
        self.event = event
        self.status = status
        self.attempts = attempts
        self.createdAt = createdAt
    }
}
