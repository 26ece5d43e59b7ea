/// Sends webhooks' requests: https only, to public addresses or such as the operator allows, without redirects or proxies.
package protocol WebhookTransport: Sendable {
    /// - Parameter headers: beside those of every JSON request.
    /// - Returns: the answer's status.
    /// - Throws: an error whose description may be shown to the webhook's owner.
    func post(_ attempt: WebhookAttempt, headers: [(name: String, value: String)]) async throws -> Int
}
