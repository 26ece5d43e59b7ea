import ExecboxModel

/// The session object (PROTOCOL §2). What is nil is absent.
public struct SessionBody: Equatable, Sendable, Codable {
    public var id: String
    public var status: SessionStatus
    public var reason: EndReason?
    public var image: String
    public var command: [String]
    /// Names only, sorted; values are never shown.
    public var env: [String]
    public var workDir: String
    public var user: String
    public var labels: [String: String]
    public var resources: ResourcesBody
    public var backend: String
    public var progress: ProgressBody?
    public var createdAt: Timestamp
    public var startedAt: Timestamp?
    public var endedAt: Timestamp?
    public var expiresAt: Timestamp?
    public var exitCode: Int32?
    public var signal: String?
    public var error: String?
    public var network: NetworkBody?
    public var usage: UsageBody?

    public init(
        id: String, status: SessionStatus, reason: EndReason? = nil, image: String, command: [String], env: [String], workDir: String,
        user: String, labels: [String: String], resources: ResourcesBody, backend: String, progress: ProgressBody? = nil,
        createdAt: Timestamp, startedAt: Timestamp? = nil, endedAt: Timestamp? = nil, expiresAt: Timestamp? = nil, exitCode: Int32? = nil,
        signal: String? = nil, error: String? = nil, network: NetworkBody? = nil, usage: UsageBody? = nil
    ) {
        self.id = id
        self.status = status
        self.reason = reason
        self.image = image
        self.command = command
        self.env = env.sorted()
        self.workDir = workDir
        self.user = user
        self.labels = labels
        self.resources = resources
        self.backend = backend
        self.progress = progress
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.expiresAt = expiresAt
        self.exitCode = exitCode
        self.signal = signal
        self.error = error
        self.network = network
        self.usage = usage
    }
}
