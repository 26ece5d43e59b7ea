import ExecboxModel
import ExecboxSandbox
import Glibc

/// Proves by trying that a sandbox's agent reaches a socket of ours and that the kernel tells us its pid as the engine knows it.
///
/// Neither holds when execboxd runs in a container of its own without the host's pids or with the run directory at another path.
struct AgentReachProbe: Sendable {
    let configuration: DockerConfiguration
    let client: DockerClient
    let runDirectory: RunDirectory
    let image: String
    let agentMount: ContainerCreation.Mount

    func run() async throws {
        let folder = SandboxID.makeNow()
        let name = "execbox-\(configuration.shortID)-probe-\(folder.ulid.text)"
        do {
            try await run(folder, name)
        } catch {
            _ = try? await client.removeContainer(name)
            try? runDirectory.remove(folder)
            throw error
        }
        _ = try await client.removeContainer(name)
        try runDirectory.remove(folder)
    }

    private func run(_ folder: SandboxID, _ name: String) async throws {
        try runDirectory.make(folder)
        let path = runDirectory.path(of: folder)
        let listener = try Listener(path: "\(path)/\(String(UInt32.random(in: 0x1000_0000 ... .max), radix: 16)).sock")
        let creation = ContainerCreation(
            image: image, entrypoint: AgentVolume.arguments,
            labels: [DockerLabel.cluster: configuration.clusterID, DockerLabel.purpose: "probe"],
            hostConfig: .init(
                networkMode: "none", mounts: [agentMount, .init(type: "bind", source: path, target: AgentVolume.socketFolder)]))
        let id = try await client.createContainer(name: name, creation)
        try await client.startContainer(id)
        guard let found = try await client.inspectContainer(id) else { throw BackendError.internal("the probe's container is gone") }
        let peer = try await OwnThread.run { listener.firstPeer(milliseconds: 5000) }
        let advice = "if execboxd runs in a container, give it --pid=host and mount \(configuration.runDirectory) at the same path"
        guard let peer else {
            let state = try await client.inspectContainer(id)?.state
            if let state, state.status != "running" {
                throw BackendError.internal(
                    "the agent \(configuration.agentPath) ended at once in a container (exit code \(state.exitCode))")
            }
            throw BackendError.notSupported("an agent in a container does not reach our socket in \(path): \(advice)")
        }
        guard peer == found.state.pid else {
            throw BackendError.notSupported("an agent's pid is \(found.state.pid) for Docker and \(peer) for us: \(advice)")
        }
    }

    /// A socket that agents dial.
    private final class Listener: Sendable {
        private let descriptor: Int32

        init(path: String) throws {
            let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
            let bound = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            guard descriptor >= 0, bound == 0, listen(descriptor, 8) == 0 else {
                let words = String(cString: strerror(errno))
                close(descriptor)
                throw BackendError.internal("\(path) cannot be listened on: \(words)")
            }
            self.descriptor = descriptor
        }

        deinit { close(descriptor) }

        /// The pid of the first that connects, as this process sees it (0 for one in a namespace it cannot see).
        func firstPeer(milliseconds: Int32) -> Int32? {
            var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&wanted, 1, milliseconds) > 0 else { return nil }
            let connection = accept(descriptor, nil, nil)
            guard connection >= 0 else { return nil }
            defer { close(connection) }
            // struct ucred, which Swift's Glibc module does not have: pid, user and group, 32 bits each.
            var credentials: (pid: Int32, user: UInt32, group: UInt32) = (-1, 0, 0)
            var size = socklen_t(12)
            guard getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 else { return nil }
            return credentials.pid
        }
    }
}
