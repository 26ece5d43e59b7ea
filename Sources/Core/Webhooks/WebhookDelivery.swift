import ExecboxModel

/// One event on its way to one webhook, or there.
package struct WebhookDelivery: Hashable, Sendable {
    package enum Status: String, Sendable, CaseIterable {
        case pending, delivered, failed
    }

    package var id: String
    package var event: String
    package var status: Status
    package var attempts: Int
    package var nextAttemptAt: Timestamp?
    /// Of the latest answer, if there was one.
    package var lastStatus: Int?
    package var lastError: String?
    package var createdAt: Timestamp
    package var endedAt: Timestamp?
}
