import Crypto
import ExecboxSandbox
import FoundationEssentials

/// The agent as a read-only volume: made and filled once for each build of it, mounted into every sandbox.
///
/// It is filled by unpacking an archive into a container that is created and never started, so nothing of the host needs to be mounted.
/// The container's image is one of our own with nothing in it, so no registry is needed either.
struct AgentVolume: Sendable {
    static let mountPoint = "/.execbox/bin"
    static let programPath = AgentProgram.path
    static let socketFolder = "/.execbox/run"
    static let arguments = [programPath, "--dial-out", socketFolder]

    let name: String
    let labels: [String: String]
    private let program: [UInt8]

    /// Reads the agent.
    init(agentPath: String, clusterID: String) throws(BackendError) {
        guard let data = try? Data(contentsOf: URL(filePath: agentPath)), !data.isEmpty else {
            throw .internal("the agent \(agentPath) cannot be read")
        }
        guard data.starts(with: [0x7F, UInt8(ascii: "E"), UInt8(ascii: "L"), UInt8(ascii: "F")]) else {
            throw .internal("the agent \(agentPath) is not a program for Linux")
        }
        program = [UInt8](data)
        let hash = SHA256.hash(data: data).prefix(8).map { $0 < 16 ? "0\(String($0, radix: 16))" : String($0, radix: 16) }.joined()
        name = "execbox-agent-\(clusterID.prefix(8))-\(hash)"
        labels = [DockerLabel.cluster: clusterID]
    }

    var mount: ContainerCreation.Mount {
        ContainerCreation.Mount(type: "volume", source: name, target: Self.mountPoint, volumeOptions: .init(labels: labels))
    }

    /// Makes sure that the volume exists and holds the whole agent.
    func fill(_ client: DockerClient, image: String, clusterID: String) async throws {
        try await client.createVolume(name, labels: labels)
        // Asked for by itself: of a volume that is there already, an engine that was restarted answers a creation without its labels.
        let volume = try await client.inspectVolume(name)
        guard volume.labels?[DockerLabel.cluster] == clusterID else {
            throw BackendError.internal("a volume \(name) exists that is not ours")
        }
        var creation = ContainerCreation(
            image: image, entrypoint: Self.arguments, labels: [DockerLabel.cluster: clusterID, DockerLabel.purpose: "agent-volume"],
            hostConfig: .init(networkMode: "none", mounts: [mount]))
        creation.hostConfig.mounts[0].readOnly = false
        let random = UInt64.random(in: 0 ... .max)
        let container = try await client.createContainer(name: "execbox-\(clusterID.prefix(8))-fill-\(String(random, radix: 36))", creation)
        do {
            if try await !isFilled(client, container: container) {
                var archive = TarArchive()
                archive.addFile("execbox-agent", mode: 0o555, contents: program)
                try await client.putArchive(archive.finished, into: container, at: Self.mountPoint)
                guard try await isFilled(client, container: container) else {
                    throw BackendError.internal("the agent volume \(name) does not hold what was put into it")
                }
            }
        } catch {
            _ = try? await client.removeContainer(container)
            throw error
        }
        _ = try await client.removeContainer(container)
    }

    private struct Stat: Decodable { let size: Int }

    /// A half-written file has another size; the name of the volume stands for the contents.
    private func isFilled(_ client: DockerClient, container: String) async throws -> Bool {
        guard let text = try await client.archiveStat(in: container, at: Self.programPath), let json = Data(base64Encoded: text) else {
            return false
        }
        return try JSONDecoder().decode(Stat.self, from: json).size == program.count
    }
}
