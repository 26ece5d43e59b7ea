import ExecboxModel

/// Where an account wants to be told of what happens.
package struct Webhook: Hashable, Sendable {
    package var id: WebhookID
    package var accountID: AccountID
    package var url: String
    package var events: Set<WebhookEvent>
    package var isActive: Bool
    package var createdAt: Timestamp
}
