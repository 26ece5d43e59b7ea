import ExecboxModel

/// What a session can reach, and where its ports are reached.
public struct NetworkBody: Equatable, Sendable, Codable {
    public struct Port: Equatable, Sendable, Codable {
        public var hostPort: UInt16
        public var url: String

        public init(hostPort: UInt16, url: String) {
            self.hostPort = hostPort
            self.url = url
        }
    }

    public var mode: NetworkMode
    public var host: String?
    /// By the port's number in the sandbox.
    public var ports: [String: Port]?

    public init(mode: NetworkMode, host: String? = nil, ports: [String: Port]? = nil) {
        self.mode = mode
        self.host = host
        self.ports = ports
    }
}
