import ExecboxModel

/// Names a sandbox to its backend.
package struct SandboxRef: Hashable, Sendable {
    package var sandboxID: SandboxID
    /// The backend's own id (container id, machine id); empty while it is not known. Backends find a sandbox by `sandboxID` alone too.
    package var backendID: String

    package init(sandboxID: SandboxID, backendID: String = "") {
        self.sandboxID = sandboxID
        self.backendID = backendID
    }
}
