import ExecboxModel

/// A session as a caller asked for it: every field checked for form, nothing looked up, defaults not yet filled in.
package struct NewSession: Sendable {
    package enum PullPolicy: String, Sendable { case missing, always }

    package var image: String
    package var command: [String]
    /// In the caller's order; names are unique.
    package var environment: [(name: String, value: String)]
    package var workDir: String?
    package var user: String?
    package var labels: [String: String]
    package var cpuMillis: Int?
    package var memoryMB: Int?
    package var diskMB: Int?
    package var pids: Int?
    package var timeoutMs: Int64?
    package var idleTimeoutMs: Int64?
    package var diskReadBps: Int64?
    package var diskWriteBps: Int64?
    package var diskReadIops: Int64?
    package var diskWriteIops: Int64?
    package var network: NetworkMode
    package var ports: [PortSpec]
    package var pull: PullPolicy
    package var terminal: Session.Terminal?
    package var opensStdin: Bool
    package var backend: String?

    package init(image: String, command: [String] = []) {
        self.image = image
        self.command = command
        environment = []
        labels = [:]
        network = .outgoing
        ports = []
        pull = .missing
        opensStdin = true
    }
}
