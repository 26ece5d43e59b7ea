import ExecboxModel
import ExecboxSandbox
import Glibc
import Synchronization

extension DockerBackend {
    package func start() async throws(BackendError) {
        try await translated {
            try await client.ping()
            let platform = try await client.platform()
            guard platform.os == "linux" else {
                throw BackendError.notSupported("the Docker engine runs \(platform.os) containers, not linux")
            }
            let info = try await client.info()
            try runDirectory.make()
            let mount = try await fillAgentVolume()
            let isOnCgroup2 = info.cgroupVersion == "2"
            let device = isOnCgroup2 ? Self.blockDevice(of: info.rootFolder) : nil
            let image = try await ensureEmptyImage()
            try await removeOldProbes()
            try await AgentReachProbe(
                configuration: configuration, client: client, runDirectory: runDirectory, image: image, agentMount: mount
            ).run()
            let enforcesQuota = try await enforcesQuota(info, image: image, mount: mount)
            state.withLock { state in
                // What was proved of networks stays until the next proof.
                var capabilities = BackendCapabilities(
                    networks: state.host == nil ? [.none] : state.capabilities.networks, limitsDiskIO: device != nil, publishesUDP: true,
                    enforcesDiskQuota: enforcesQuota, cpuCount: info.cpuCount, memoryBytes: info.memoryBytes)
                capabilities.networkRefusal = state.host == nil ? "networks are being set up" : state.capabilities.networkRefusal
                capabilities.isIsolationUnproved = state.capabilities.isIsolationUnproved
                state.capabilities = capabilities
                state.host = Host(platform: platform, agentMount: mount, blockDevice: device)
            }
            try await setUpNetworks()
        }
    }

    /// Makes sure that the agent is where sandboxes take it from.
    @discardableResult
    func fillAgentVolume() async throws -> ContainerCreation.Mount {
        let volume = try AgentVolume(agentPath: configuration.agentPath, clusterID: configuration.clusterID)
        try await volume.fill(client, image: try await ensureEmptyImage(), clusterID: configuration.clusterID)
        return volume.mount
    }

    /// An image of our own with nothing in it, for containers that only need the agent; made without a registry.
    func ensureEmptyImage() async throws -> String {
        let repository = "execbox-\(configuration.shortID)/empty"
        let name = "\(repository):latest"
        if let found = try await client.inspectImage(name) { return found.id }
        var archive = TarArchive()
        archive.addFolder(".execbox", mode: 0o755)
        try await client.importImage(
            archive.finished, repository: repository, tag: "latest", changes: ["LABEL \(DockerLabel.cluster)=\(configuration.clusterID)"])
        guard let made = try await client.inspectImage(name) else {
            throw BackendError.internal("the image \(name) was made and is not there")
        }
        return made.id
    }

    /// Whether the storage driver takes a size for the writable layer: the engine says so when a container is created with one.
    private func enforcesQuota(_ info: DockerClient.Info, image: String, mount: ContainerCreation.Mount) async throws -> Bool {
        guard ["overlay2", "btrfs", "zfs", "devicemapper"].contains(info.driver) else { return false }
        let name = "execbox-\(configuration.shortID)-probe-\(SandboxID.makeNow().ulid.text)"
        var creation = ContainerCreation(
            image: image, entrypoint: AgentVolume.arguments,
            labels: [DockerLabel.cluster: configuration.clusterID, DockerLabel.purpose: "probe"],
            hostConfig: .init(networkMode: "none", mounts: [mount]))
        // More than devicemapper's base image, which a container's size may not fall below.
        creation.hostConfig.storageOpt = ["size": "20G"]
        do {
            let id = try await client.createContainer(name: name, creation)
            _ = try await client.removeContainer(id)
            return true
        } catch is DockerFailure {
            // Some engines leave a half-made container behind.
            _ = try await client.removeContainer(name)
            return false
        }
    }

    /// Probes that a crash left behind; younger ones may be another server's at work. Rules that were open for them are closed by `ensure()`.
    private func removeOldProbes() async throws {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        for found in try await client.listContainers(labels: ["\(DockerLabel.cluster)=\(configuration.clusterID)", DockerLabel.purpose])
        where found.created < Int64(now.tv_sec) - 300 {
            _ = try await client.removeContainer(found.id)
        }
    }

    /// The device below the engine's data, as `/dev/…`.
    private static func blockDevice(of folder: String) -> String? {
        var status = stat()
        guard stat(folder, &status) == 0 else { return nil }
        let device = status.st_dev
        let major = (device >> 8 & 0xFFF) | (device >> 32 & ~0xFFF)
        let minor = (device & 0xFF) | (device >> 12 & ~0xFF)
        let link = "/dev/block/\(major):\(minor)"
        guard let resolved = realpath(link, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
