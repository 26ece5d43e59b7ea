import ExecboxModel
import ExecboxSandbox

/// How one sandbox looks as a container: its name, its labels and every limit.
struct SandboxContainer: Sendable {
    static func name(of id: SandboxID, clusterID: String) -> String { "execbox-\(clusterID.prefix(8))-\(id.ulid.text)" }

    let spec: SandboxSpec
    let configuration: DockerConfiguration
    let capabilities: BackendCapabilities
    let agentMount: ContainerCreation.Mount
    /// Where the engine's data lives, for limits on disk traffic.
    let blockDevice: String?

    var name: String { Self.name(of: spec.sandboxID, clusterID: configuration.clusterID) }

    /// Refuses what this host cannot enforce.
    func creation() throws(BackendError) -> ContainerCreation {
        let resources = spec.resources
        try check(resources)
        let runFolder = RunDirectory(path: configuration.runDirectory).path(of: spec.sandboxID)
        var host = ContainerCreation.HostConfig(
            networkMode: spec.network == .none ? "none" : configuration.networkName,
            mounts: [agentMount, .init(type: "bind", source: runFolder, target: AgentVolume.socketFolder)])
        host.memory = Int64(resources.memoryMB) * 1024 * 1024
        // Memory and swap together: no swap.
        host.memorySwap = host.memory
        host.cpuPeriod = 100_000
        host.cpuQuota = Int64(resources.cpuMillis) * 100
        host.pidsLimit = Int64(resources.pids)
        if capabilities.enforcesDiskQuota { host.storageOpt = ["size": "\(resources.diskMB)M"] }
        if spec.network != .none, let resolvers = configuration.resolvers { host.dns = resolvers }
        if let path = blockDevice {
            host.blkioDeviceReadBps = resources.diskReadBps.map { [.init(path: path, rate: $0)] }
            host.blkioDeviceWriteBps = resources.diskWriteBps.map { [.init(path: path, rate: $0)] }
            host.blkioDeviceReadIOps = resources.diskReadIops.map { [.init(path: path, rate: $0)] }
            host.blkioDeviceWriteIOps = resources.diskWriteIops.map { [.init(path: path, rate: $0)] }
        }
        var creation = ContainerCreation(
            image: spec.image.digest, entrypoint: AgentVolume.arguments,
            labels: [
                DockerLabel.cluster: configuration.clusterID, DockerLabel.sandbox: spec.sandboxID.description,
                DockerLabel.session: spec.sessionID.description,
            ],
            hostConfig: host)
        if spec.network == .exposed {
            for port in spec.ports {
                let key = "\(port.container)/\(port.transport.rawValue)"
                creation.exposedPorts[key] = .init()
                // Port 0: the engine chooses one that is free.
                creation.hostConfig.portBindings[key] = [.init(hostIp: configuration.exposedBindAddress, hostPort: "0")]
            }
        }
        return creation
    }

    private func check(_ resources: Resources) throws(BackendError) {
        guard capabilities.networks.contains(spec.network) else {
            throw .notSupported(capabilities.networkRefusal ?? "the network mode \(spec.network.rawValue) is not available")
        }
        guard spec.network == .exposed || spec.ports.isEmpty else { throw .invalidSpec("ports are published with network exposed only") }
        guard resources.cpuMillis >= 10, resources.cpuMillis <= capabilities.cpuCount * 1000 else {
            throw .invalidSpec(
                "cpuMillis must be between 10 and \(capabilities.cpuCount * 1000): this host has \(capabilities.cpuCount) CPUs")
        }
        let hostMemoryMB = Int(capabilities.memoryBytes / (1024 * 1024))
        guard resources.memoryMB >= 6, resources.memoryMB <= hostMemoryMB else {
            throw .invalidSpec("memoryMB must be between 6 and \(hostMemoryMB), which is what this host has")
        }
        guard resources.pids >= 1, resources.pids <= 4_194_304 else { throw .invalidSpec("pids must be between 1 and 4194304") }
        guard resources.diskMB >= 1 else { throw .invalidSpec("diskMB must be at least 1") }
        let rates = [resources.diskReadBps, resources.diskWriteBps, resources.diskReadIops, resources.diskWriteIops].compactMap { $0 }
        guard rates.isEmpty || capabilities.limitsDiskIO && blockDevice != nil else {
            throw .notSupported("limits on disk traffic need cgroup v2 on the Docker host")
        }
        guard rates.allSatisfy({ $0 > 0 }) else { throw .invalidSpec("limits on disk traffic must be above 0") }
    }
}
