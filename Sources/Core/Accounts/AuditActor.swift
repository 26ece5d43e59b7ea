import ExecboxModel

/// Who changed something, for the audit log.
package enum AuditActor: Equatable, Sendable, CustomStringConvertible {
    /// A caller of the API.
    case key(KeyID)
    /// Somebody with a shell on the server's host; the name of their user.
    case `operator`(String)
    /// The server itself: sign-up, expiry.
    case system

    package var description: String {
        switch self {
        case .key(let id): "key:\(id)"
        case .operator(let name): "operator:\(name)"
        case .system: "system"
        }
    }
}
