import ExecboxModel

/// A hint that a sandbox changed; ask `state` for what it is now.
package enum SandboxEvent: Equatable, Sendable {
    case changed(SandboxID)
    /// Events may have been missed (reconnect, restart of the engine): look at everything.
    case resync
}
