import ExecboxModel

/// One change of a key, an account or its limits.
package struct AuditEntry: Equatable, Sendable {
    package enum Action: String, Sendable, CaseIterable {
        case accountCreated = "account.created"
        case accountUpdated = "account.updated"
        case limitsUpdated = "account.limits_updated"
        case keyCreated = "key.created"
        case keyUpdated = "key.updated"
        case keyRotated = "key.rotated"
        case keyDeleted = "key.deleted"
        case tierCreated = "tier.created"
        case tierUpdated = "tier.updated"
        case tierDeleted = "tier.deleted"
        case priceCreated = "price.created"
        case priceDeleted = "price.deleted"
        case quotaRequestCreated = "quota_request.created"
        case quotaRequestUpdated = "quota_request.updated"
        case webhookCreated = "webhook.created"
        case webhookUpdated = "webhook.updated"
        case webhookDeleted = "webhook.deleted"
    }

    /// A field's value before and after; nil where it was or is not set.
    package struct Change: Equatable, Sendable, Codable {
        package var old: String?
        package var new: String?

        package init(old: String?, new: String?) {
            self.old = old
            self.new = new
        }
    }

    package var id: Int64
    package var at: Timestamp
    package var actor: String
    package var action: Action
    /// The id of what was changed; a tier's name, the moment at which a price begins.
    package var target: String
    package var changes: [String: Change]

    /// Fields in the same order, before and after: those that differ.
    static func changes(from old: [(name: String, value: String?)], to new: [(name: String, value: String?)]) -> [String: Change] {
        zip(old, new).reduce(into: [:]) { changes, pair in
            if pair.0.value != pair.1.value { changes[pair.0.name] = Change(old: pair.0.value, new: pair.1.value) }
        }
    }
}
