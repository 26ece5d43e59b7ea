/// What to set in a webhook; a nil member is left as it is.
package struct WebhookChange: Equatable, Sendable {
    package var url: String?
    package var events: Set<WebhookEvent>?
    package var isActive: Bool?

    package init() {}
}
