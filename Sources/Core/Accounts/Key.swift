import ExecboxModel

/// An API key as it is stored: its secret is nowhere.
package struct Key: Hashable, Sendable {
    package var id: KeyID
    package var accountID: AccountID
    package var publicID: String
    package var secretHash: [UInt8]
    /// After a rotation: what was the secret before, and until when it is still taken.
    package var former: Former?
    package var name: String
    package var description: String?
    package var isActive: Bool
    package var scopes: Set<Scope>
    /// Nil for the account's.
    package var sessionsPerDay: Int?
    package var concurrentSessions: Int?
    package var requestsPerSecond: Int?
    package var createdAt: Timestamp
    package var expiresAt: Timestamp?
    package var deletedAt: Timestamp?
    package var lastUsedAt: Timestamp?

    package struct Former: Hashable, Sendable {
        package var secretHash: [UInt8]
        package var validUntil: Timestamp
    }

    /// What may be shown of it: enough to tell keys apart, nothing to use.
    package var preview: String { "eb_\(publicID)_…" }

    package func isValid(at now: Timestamp) -> Bool { isActive && deletedAt == nil && expiresAt.map { now < $0 } ?? true }

    /// Whether the secret of `text` is this key's, in a time that does not tell how much of it was right.
    package func matches(_ text: APIKey, at now: Timestamp) -> Bool {
        let isCurrent = text.matches(hash: secretHash)
        let isFormer = former.map { text.matches(hash: $0.secretHash) && now < $0.validUntil } ?? false
        return isCurrent || isFormer
    }
}
