import ExecboxModel

/// What webhooks are told of.
package enum WebhookEvent: String, Sendable, CaseIterable {
    case sessionEnded = "session.ended"
    case quotaThreshold = "quota.threshold"
    case keyCreated = "key.created"
    case keyUpdated = "key.updated"
    case keyRotated = "key.rotated"
    case keyDeleted = "key.deleted"

    /// What a key needs to be told of it: a webhook shows no more than its maker may see.
    var scope: Scope {
        switch self {
        case .sessionEnded: .sessionsRead
        case .quotaThreshold: .usage
        case .keyCreated, .keyUpdated, .keyRotated, .keyDeleted: .keys
        }
    }

    init?(_ action: AuditEntry.Action) {
        switch action {
        case .keyCreated: self = .keyCreated
        case .keyUpdated: self = .keyUpdated
        case .keyRotated: self = .keyRotated
        case .keyDeleted: self = .keyDeleted
        default: return nil
        }
    }

    /// `data` of a `session.ended`.
    struct EndedSession: Encodable {
        var sessionID: String
        var status: String
        var reason: String?
        var error: String?
        var exitCode: Int32?
        var signal: String?
        var image: String
        var labels: [String: String]
        var startedAt: String?
        var endedAt: String?
        var durationMs: Int64
        var cpuMs: Int64
        var costMicros: Int64

        init(_ session: Session) {
            sessionID = session.id.description
            status = session.status.rawValue
            reason = session.reason?.rawValue
            error = session.error
            exitCode = session.exitCode
            signal = session.signal
            image = session.image
            labels = session.labels
            startedAt = session.startedAt?.text
            endedAt = session.endedAt?.text
            durationMs = session.usage?.durationMs ?? 0
            cpuMs = session.usage?.cpuMs ?? 0
            costMicros = session.usage?.costMicros ?? 0
        }
    }

    /// `data` of a `quota.threshold`.
    struct Threshold: Encodable {
        var limit = "monthly_cost_limit_micros"
        var percent: Int
        var costMicros: Int64
        var limitMicros: Int64
        /// The month's first day.
        var month: String
    }

    /// `data` of a `key.*`; never a secret.
    struct ChangedKey: Encodable {
        var keyID: String
        var actor: String
        var changes: [String: AuditEntry.Change]
    }
}
