import ExecboxModel

/// Whose usage is meant, within an account.
package enum UsageSubject: Hashable, Sendable {
    case account
    case key(KeyID)
    /// All sessions with this label.
    case label(name: String, value: String)

    /// As it stands in roll-ups.
    var kind: String {
        switch self {
        case .account: "account"
        case .key: "key"
        case .label: "label"
        }
    }

    var name: String {
        switch self {
        case .account: ""
        case .key(let id): id.description
        case .label(let name, let value): "\(name)=\(value)"
        }
    }
}
