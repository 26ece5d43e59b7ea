import ExecboxModel

/// What to set in a key; a nil member is left as it is.
package struct KeyChange: Equatable, Sendable {
    package var name: String?
    package var isActive: Bool?
    package var scopes: Set<Scope>?
    /// The inner nil clears the value.
    package var description: String??
    package var expiresAt: Timestamp??
    package var sessionsPerDay: Int??
    package var concurrentSessions: Int??
    package var requestsPerSecond: Int??

    package init() {}

    /// The key after it.
    func applied(to key: Key) -> Key {
        var key = key
        if let name { key.name = name }
        if let isActive { key.isActive = isActive }
        if let scopes { key.scopes = scopes }
        if let description { key.description = description }
        if let expiresAt { key.expiresAt = expiresAt }
        if let sessionsPerDay { key.sessionsPerDay = sessionsPerDay }
        if let concurrentSessions { key.concurrentSessions = concurrentSessions }
        if let requestsPerSecond { key.requestsPerSecond = requestsPerSecond }
        return key
    }
}

extension Key {
    /// The fields in which two states of a key differ, for the audit log; never a secret.
    func differences(from old: Key?) -> [String: AuditEntry.Change] {
        func fields(_ key: Key?) -> [String: String?] {
            guard let key else { return [:] }
            return [
                "name": key.name, "description": key.description, "is_active": "\(key.isActive)",
                "scopes": key.scopes.sorted().map(\.rawValue).joined(separator: " "), "expires_at": key.expiresAt?.text,
                "custom_daily_limit": key.sessionsPerDay.map(String.init),
                "custom_concurrent_limit": key.concurrentSessions.map(String.init),
                "custom_rate_limit": key.requestsPerSecond.map(String.init),
            ]
        }
        let before = fields(old)
        return fields(self).reduce(into: [:]) { changes, field in
            let was = before[field.key] ?? nil
            if was != field.value { changes[field.key] = AuditEntry.Change(old: was, new: field.value) }
        }
    }
}
