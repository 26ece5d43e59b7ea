/// A port of the sandbox to be published.
public struct PortSpec: Hashable, Sendable {
    public enum Transport: String, Sendable, CaseIterable { case tcp, udp }

    public var container: UInt16
    public var transport: Transport

    public init(container: UInt16, transport: Transport) {
        self.container = container
        self.transport = transport
    }
}

/// Where a published port is reached.
public struct PublishedPort: Hashable, Sendable {
    public var container: UInt16
    public var transport: PortSpec.Transport
    public var hostPort: UInt16

    public init(container: UInt16, transport: PortSpec.Transport, hostPort: UInt16) {
        self.container = container
        self.transport = transport
        self.hostPort = hostPort
    }
}
