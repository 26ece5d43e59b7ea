import ExecboxModel

/// Where a published port is reached.
public struct URLBody: Equatable, Sendable, Codable {
    public var containerPort: UInt16
    public var hostPort: UInt16
    public var url: String
    public var transport: PortSpec.Transport

    public init(containerPort: UInt16, hostPort: UInt16, url: String, transport: PortSpec.Transport) {
        self.containerPort = containerPort
        self.hostPort = hostPort
        self.url = url
        self.transport = transport
    }

    private enum CodingKeys: String, CodingKey {
        case containerPort, hostPort, url
        case transport = "protocol"
    }
}
