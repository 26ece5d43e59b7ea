import ExecboxModel

/// Somebody asks for more than they have.
package struct QuotaRequest: Hashable, Sendable {
    package enum Status: String, Sendable, CaseIterable {
        case pending, approved, declined
    }

    package var id: Int64 = 0
    /// Of the key it was made with, if any.
    package var accountID: AccountID?
    package var email: String
    package var name: String?
    package var company: String?
    package var useCase: String?
    package var requestedLimits: String?
    package var budget: String?
    package var status = Status.pending
    package var createdAt = Timestamp(unixMicroseconds: 0)

    package init(email: String) { self.email = email }
}
