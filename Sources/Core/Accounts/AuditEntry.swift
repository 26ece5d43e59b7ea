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
    /// The key or the account that was changed.
    package var target: String
    package var changes: [String: Change]
}
