import ExecboxModel

/// A request for more, as who made it and who decides see it.
public struct QuotaRequestBody: Equatable, Sendable, Codable {
    public var id: Int64
    /// `pending`, `approved` or `declined`.
    public var status: String
    public var createdAt: Timestamp
    /// For who made it.
    public var message: String?
    public var accountID: String?
    public var email: String?
    public var name: String?
    public var company: String?
    public var useCase: String?
    public var requestedLimits: String?
    public var budget: String?

    private enum CodingKeys: String, CodingKey {
        case id, status, message, email, name, company, budget
        case createdAt = "created_at"
        case accountID = "account_id"
        case useCase = "use_case"
        case requestedLimits = "requested_limits"
    }

    public init(id: Int64, status: String, createdAt: Timestamp) {
        self.id = id
        self.status = status
        self.createdAt = createdAt
    }
}
