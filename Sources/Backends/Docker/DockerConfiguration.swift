import ExecboxSandbox

/// What an operator decides about the Docker backend.
package struct DockerConfiguration: Sendable {
    /// What happens when the isolation of networks cannot be proved.
    package enum Isolation: String, Sendable, CaseIterable {
        /// `outgoing` and `exposed` are refused.
        case enforced
        /// They are offered all the same, and every start says so.
        case bestEffort = "best-effort"
    }

    /// `DOCKER_HOST`; only `unix://…` is taken.
    package var dockerHost: String
    /// Random text from the first migration; its first eight characters stand in names, all of it in labels.
    package var clusterID: String
    /// Where sandboxes' socket folders live; `/run/execbox/<first 8 of the cluster id>` unless chosen otherwise. Must be the same path for
    /// the engine and for us.
    package var runDirectory: String
    /// The static agent on this host.
    package var agentPath: String
    package var networkName: String
    /// At most 15 characters, the kernel's bound for interfaces.
    package var bridgeName: String
    /// An IPv4 range of our own, `172.31.192.0/20`; its first address is the host's.
    package var subnet: String
    package var isolation: Isolation
    /// Where published ports listen.
    package var exposedBindAddress: String
    /// Name servers that sandboxes may ask although they are private; nil takes those of `/etc/resolv.conf`.
    package var resolvers: [String]?
    /// A Docker `config.json` with registry credentials (`auths` only, no credential helpers).
    package var registryConfigPath: String?
    package var deadlines: Deadlines

    /// How long one call may take.
    package struct Deadlines: Sendable {
        /// Questions: inspect, list, ping.
        package var query: Duration = .seconds(10)
        /// Create, start, remove.
        package var change: Duration = .seconds(60)
        /// A pull from its first to its last byte, and how long it may be silent.
        package var pull: Duration = .seconds(600)
        package var pullIdle: Duration = .seconds(120)
        package var commit: Duration = .seconds(300)

        package init() {}
    }

    package init(
        dockerHost: String = "unix:///var/run/docker.sock", clusterID: String, runDirectory: String? = nil, agentPath: String,
        networkName: String? = nil, bridgeName: String? = nil, subnet: String = "172.31.192.0/20", isolation: Isolation = .enforced,
        exposedBindAddress: String = "127.0.0.1", resolvers: [String]? = nil, registryConfigPath: String? = nil,
        deadlines: Deadlines = Deadlines()
    ) {
        let short = String(clusterID.prefix(8))
        self.dockerHost = dockerHost
        self.clusterID = clusterID
        self.runDirectory = runDirectory ?? "/run/execbox/\(short)"
        self.agentPath = agentPath
        self.networkName = networkName ?? "execbox-\(short)"
        self.bridgeName = bridgeName ?? "ebx-\(short)"
        self.subnet = subnet
        self.isolation = isolation
        self.exposedBindAddress = exposedBindAddress
        self.resolvers = resolvers
        self.registryConfigPath = registryConfigPath
        self.deadlines = deadlines
    }

    /// The part of the cluster id that stands in names.
    package var shortID: String { String(clusterID.prefix(8)) }

    /// Checks what can be checked without asking anyone.
    ///
    /// - Returns: the engine's socket.
    func validated() throws(BackendError) -> String {
        guard dockerHost.hasPrefix("unix://") else {
            throw .invalidSpec(
                "DOCKER_HOST is \(dockerHost), but only unix:// sockets are supported: sandboxes are reached through folders of this host. "
                    + "Run execboxd on the Docker host itself.")
        }
        let socket = String(dockerHost.dropFirst("unix://".count))
        guard socket.hasPrefix("/"), socket.utf8.count < 108 else {
            throw .invalidSpec(
                "DOCKER_HOST is \(dockerHost): it must name an absolute path of fewer than 108 bytes, as in unix:///var/run/docker.sock")
        }
        guard clusterID.utf8.count >= 8, clusterID.utf8.allSatisfy({ Self.isNameByte($0) }) else {
            throw .invalidSpec("the cluster id must have at least 8 characters of a-z, 0-9")
        }
        // <run>/sb_<26>/<8>.sock and the final NUL.
        let socketPathBytes = runDirectory.utf8.count + 1 + 29 + 1 + 8 + 5
        guard runDirectory.hasPrefix("/"), socketPathBytes < 107 else {
            throw .invalidSpec(
                "the run directory \(runDirectory) must be absolute and at most \(106 - 44) bytes long: socket paths in it are bounded")
        }
        guard !bridgeName.isEmpty, bridgeName.utf8.count <= 15, bridgeName.utf8.allSatisfy({ Self.isNameByte($0) || $0 == 45 }) else {
            throw .invalidSpec("the bridge name \(bridgeName) must have 1 to 15 characters of a-z, 0-9, -")
        }
        guard IPv4Range(subnet) != nil else { throw .invalidSpec("the subnet \(subnet) must be an IPv4 range such as 172.31.192.0/20") }
        for address in (resolvers ?? []) + [exposedBindAddress] {
            guard IPv4Range(address + "/32") != nil else { throw .invalidSpec("\(address) is not an IPv4 address") }
        }
        return socket
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}
