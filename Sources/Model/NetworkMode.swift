/// What a sandbox can reach, and who can reach it.
public enum NetworkMode: String, Sendable, CaseIterable {
    /// Loopback only.
    case none
    /// The outside, but not this host, private ranges or other sandboxes.
    case outgoing
    /// As `outgoing`, and the session's ports are published.
    case exposed
}
