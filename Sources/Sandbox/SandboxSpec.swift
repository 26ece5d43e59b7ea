import ExecboxModel

/// Everything a backend needs to make one sandbox. Commands, environment and users are the agent's business and not in here.
package struct SandboxSpec: Sendable {
    package var sandboxID: SandboxID
    package var sessionID: SessionID
    package var image: PreparedImage
    package var resources: Resources
    package var network: NetworkMode
    package var ports: [PortSpec]

    package init(
        sandboxID: SandboxID,
        sessionID: SessionID,
        image: PreparedImage,
        resources: Resources,
        network: NetworkMode,
        ports: [PortSpec]
    ) {
        self.sandboxID = sandboxID
        self.sessionID = sessionID
        self.image = image
        self.resources = resources
        self.network = network
        self.ports = ports
    }
}
