import ExecboxCurl
import ExecboxModel
import ExecboxSandbox
import Logging
import Synchronization

/// Sandboxes as containers of a Docker engine on this host.
///
/// A container's name follows from its sandbox id, so every operation finds it without knowing the container's id, and a second `create`
/// finds the first one's. Nothing without our cluster's label is touched.
package final class DockerBackend: SandboxBackend {
    /// What `start()` found out.
    struct Host: Sendable {
        var platform: DockerClient.Platform
        var agentMount: ContainerCreation.Mount
        var blockDevice: String?
    }

    struct State {
        var capabilities = BackendCapabilities(networkRefusal: "the Docker backend has not been started")
        var host: Host?
    }

    package let name = "docker"
    let configuration: DockerConfiguration
    let client: DockerClient
    let logger: Logger
    let runDirectory: RunDirectory
    let flights = SingleFlight()
    let network: DockerNetwork
    let state = Mutex(State())

    /// Checks the configuration; talks to nobody.
    package init(configuration: DockerConfiguration, logger: Logger) throws(BackendError) {
        let socket = try configuration.validated()
        self.configuration = configuration
        self.logger = logger
        client = DockerClient(socketPath: socket, deadlines: configuration.deadlines, curl: CurlClient())
        runDirectory = RunDirectory(path: configuration.runDirectory)
        network = DockerNetwork(configuration: configuration, client: client)
    }

    package var capabilities: BackendCapabilities { state.withLock { $0.capabilities } }

    package func ping() async throws(BackendError) { try await client.ping() }

    // MARK: Sandboxes

    package func expect(_ sandbox: SandboxID) async throws(BackendError) -> AgentTransport? {
        try await translated {
            try runDirectory.make(sandbox)
            return .dialOut(directory: runDirectory.path(of: sandbox), peerPID: nil)
        }
    }

    package func create(_ spec: SandboxSpec) async throws(BackendError) -> SandboxRef {
        try await translated {
            let host = try startedHost()
            let container = SandboxContainer(
                spec: spec, configuration: configuration, capabilities: capabilities, agentMount: host.agentMount,
                blockDevice: host.blockDevice)
            let creation = try container.creation()
            try runDirectory.make(spec.sandboxID)
            let id = try await findOrCreate(container.name, creation, spec)
            try await startSandbox(id, spec)
            return SandboxRef(sandboxID: spec.sandboxID, backendID: id)
        }
    }

    package func connect(_ ref: SandboxRef) async throws(BackendError) -> AgentTransport {
        try await translated {
            guard let found = try await find(ref), found.state.status == "running", found.state.pid > 0 else {
                throw BackendError.notFound("sandbox \(ref.sandboxID) does not run")
            }
            return .dialOut(directory: runDirectory.path(of: ref.sandboxID), peerPID: found.state.pid)
        }
    }

    package func state(_ ref: SandboxRef) async throws(BackendError) -> SandboxState {
        try await translated { try await find(ref)?.sandboxState ?? .gone }
    }

    package func ports(_ ref: SandboxRef) async throws(BackendError) -> [PublishedPort] {
        try await translated {
            guard let found = try await find(ref), found.sandboxState == .running else { return [] }
            var published: [PublishedPort] = []
            for (key, bindings) in found.networkSettings.ports ?? [:] {
                let parts = key.split(separator: "/")
                guard parts.count == 2, let port = UInt16(parts[0]), let transport = PortSpec.Transport(rawValue: String(parts[1])),
                    let hostPort = bindings?.lazy.compactMap({ UInt16($0.hostPort) }).first(where: { $0 > 0 })
                else { continue }
                published.append(PublishedPort(container: port, transport: transport, hostPort: hostPort))
            }
            return published.sorted { ($0.container, $0.transport.rawValue) < ($1.container, $1.transport.rawValue) }
        }
    }

    package func diskUsage(_ ref: SandboxRef) async throws(BackendError) -> Int64? {
        if capabilities.enforcesDiskQuota { return nil }
        return try await translated {
            guard let found = try await find(ref, size: true) else {
                throw BackendError.notFound("sandbox \(ref.sandboxID) is gone")
            }
            return found.sizeRw ?? 0
        }
    }

    package func destroy(_ ref: SandboxRef) async throws(BackendError) {
        try await translated {
            let clock = ContinuousClock()
            let deadline = clock.now + configuration.deadlines.change
            while let found = try await find(ref) {
                guard let failure = try await client.removeContainer(found.id) else { break }
                // 404: somebody else was faster. 409: somebody else is at it.
                if failure.status == 404 { break }
                guard failure.status == 409, clock.now < deadline else { throw failure }
                try await Task.sleep(for: .milliseconds(50))
            }
            try runDirectory.remove(ref.sandboxID)
        }
    }

    package func list() async throws(BackendError) -> [SandboxRef] {
        try await translated {
            try await client.listContainers(labels: ["\(DockerLabel.cluster)=\(configuration.clusterID)", DockerLabel.sandbox]).compactMap {
                guard let id = $0.labels?[DockerLabel.sandbox].flatMap({ SandboxID($0) }) else { return nil }
                return SandboxRef(sandboxID: id, backendID: $0.id)
            }
        }
    }

    // MARK: Steps

    /// The sandbox's container; nil when it is gone or somebody else's.
    func find(_ ref: SandboxRef, size: Bool = false) async throws -> ContainerInspection? {
        let name = SandboxContainer.name(of: ref.sandboxID, clusterID: configuration.clusterID)
        guard let found = try await client.inspectContainer(name, size: size), isOurs(found.labels, ref.sandboxID) else { return nil }
        return found
    }

    private func isOurs(_ labels: [String: String], _ id: SandboxID) -> Bool {
        labels[DockerLabel.cluster] == configuration.clusterID && labels[DockerLabel.sandbox] == id.description
    }

    func startedHost() throws(BackendError) -> Host {
        guard let host = state.withLock({ $0.host }) else { throw .unavailable("the Docker backend has not been started") }
        return host
    }

    private func findOrCreate(_ name: String, _ creation: ContainerCreation, _ spec: SandboxSpec) async throws -> String {
        let clock = ContinuousClock()
        let deadline = clock.now + configuration.deadlines.change
        while clock.now < deadline {
            do {
                return try await client.createContainer(name: name, creation)
            } catch let failure as DockerFailure where failure.status == 404 {
                throw BackendError.imageNotFound(failure.message)
            } catch let failure as DockerFailure where failure.status == 409 {
                // The engine takes the name before the container can be seen, and keeps it until a removal is over.
                if let found = try await client.inspectContainer(name) {
                    guard isOurs(found.labels, spec.sandboxID) else {
                        throw BackendError.internal("a container \(name) exists that is not ours")
                    }
                    if found.sandboxState != .gone { return found.id }
                }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        throw BackendError.unavailable("Docker keeps refusing the name \(name)")
    }

    private func startSandbox(_ id: String, _ spec: SandboxSpec) async throws {
        for attempt in 0..<3 {
            do {
                return try await client.startContainer(id)
            } catch let failure as DockerFailure {
                let words = failure.message
                if words.contains("exec format error") {
                    throw BackendError.imageRejected("the image or the agent is made for another architecture: \(words)")
                }
                if failure.isOutOfSpace { throw failure.backendError }
                if words.contains("not a directory") {
                    throw BackendError.imageRejected("the image has something at /.execbox, where the agent goes: \(words)")
                }
                guard attempt < 2 else { throw BackendError.internal("the sandbox did not start: \(words)") }
                if words.contains("network"), words.contains("not found") {
                    try await network.ensure()
                } else if words.contains(AgentVolume.programPath) {
                    // Somebody removed the volume; the engine made an empty one in its place.
                    try await fillAgentVolume()
                } else if !words.contains("already allocated"), !words.contains("address already in use") {
                    if failure.status == 404 { throw BackendError.notFound("sandbox \(spec.sandboxID) was removed while it started") }
                    throw BackendError.internal("the sandbox did not start: \(words)")
                }
                logger.debug("a sandbox did not start, trying again", metadata: ["sandbox": "\(spec.sandboxID)", "reason": "\(words)"])
            }
        }
    }

    /// Whatever went wrong, in the protocol's words.
    func translated<Value>(_ body: () async throws -> Value) async throws(BackendError) -> Value {
        do {
            return try await body()
        } catch let error as BackendError {
            throw error
        } catch let failure as DockerFailure {
            throw failure.backendError
        } catch let error as CurlError {
            throw error.code == .cancelled ? .internal("cancelled") : .unavailable("Docker: \(error)")
        } catch is CancellationError {
            throw .internal("cancelled")
        } catch {
            throw .internal("\(error)")
        }
    }
}
