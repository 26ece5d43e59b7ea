import ExecboxModel
import ExecboxSandbox
import Glibc

/// Proves by trying that a sandbox on our network reaches the outside and nothing else.
///
/// Two real containers stand on the bridge. From inside one's network namespace this process connects to listeners of its own: on this
/// host, at an address of each closed range behind this host, in the other container, and at an address that stands for the outside. First
/// with the rules off for that one container: each must be reached, or the proof proves nothing. Then with the rules on: only the outside
/// may be. At last published ports must still answer, to this host and to a neighbour. No tool is needed in any image.
package struct IsolationProbe: Sendable {
    package enum Outcome: Equatable, Sendable {
        case proved
        /// Why not, for an operator.
        case refuted(String)
    }

    private struct Party: Sendable {
        let container: String
        let folder: SandboxID
        let address: String
        let namespace: NetworkNamespace
        let publishedPort: UInt16
    }

    private static let listenerPort: UInt16 = 7001

    let configuration: DockerConfiguration
    let client: DockerClient
    let rules: HostRules
    let runDirectory: RunDirectory
    let image: String
    let agentMount: ContainerCreation.Mount

    /// Takes about two seconds. What it made is gone when it returns. Throws when it could not be carried out.
    package func run() async throws -> Outcome {
        let neighbourhood = try await ProbeNeighbourhood(avoiding: configuration.subnet)
        do {
            let outcome = try await run(neighbourhood)
            await neighbourhood.remove()
            return outcome
        } catch {
            await neighbourhood.remove()
            throw error
        }
    }

    private func run(_ neighbourhood: ProbeNeighbourhood) async throws -> Outcome {
        let folders = [SandboxID.makeNow(), SandboxID.makeNow()]
        do {
            async let first = party(folders[0], publishOn: nil)
            async let second = party(folders[1], publishOn: neighbourhood.hostAddress)
            let outcome = try await compare(neighbourhood, from: try await first, other: try await second)
            for folder in folders { try await remove(folder) }
            return outcome
        } catch {
            for folder in folders { try? await remove(folder) }
            throw error
        }
    }

    private func compare(_ neighbourhood: ProbeNeighbourhood, from party: Party, other: Party) async throws -> Outcome {
        let gateway = IPv4Range(configuration.subnet)?.address(at: 1) ?? ""
        let hostListeners = try [gateway, neighbourhood.hostAddress].map { try ProbeSocket(listenOn: $0) }
        let otherListener = try await other.namespace.run { try ProbeSocket(listenOn: "0.0.0.0", port: Self.listenerPort) }
        let farListener = try await neighbourhood.namespace.run { try ProbeSocket(listenOn: "0.0.0.0", port: Self.listenerPort) }
        defer { withExtendedLifetime((hostListeners, otherListener, farListener)) {} }

        let outside = ProbeSocket.Target(name: "the outside", address: neighbourhood.outsideAddress, port: Self.listenerPort)
        var closed = [
            ProbeSocket.Target(name: "this host through its gateway", address: gateway, port: hostListeners[0].port),
            ProbeSocket.Target(name: "this host at another address", address: neighbourhood.hostAddress, port: hostListeners[1].port),
            ProbeSocket.Target(name: "another sandbox", address: other.address, port: Self.listenerPort),
        ]
        for (range, address) in zip(HostRules.closedRanges, neighbourhood.closedAddresses) {
            closed.append(.init(name: range, address: address, port: Self.listenerPort))
        }
        let targets = [outside] + closed

        // Positive control.
        try await rules.open(for: party.address)
        let withoutRules: [Bool]
        do {
            withoutRules = try await party.namespace.run { ProbeSocket.reached(targets, milliseconds: 3000) }
            try await rules.close(for: party.address)
        } catch {
            try? await rules.close(for: party.address)
            throw error
        }
        let unreachable = zip(targets, withoutRules).filter { !$0.1 }.map(\.0.name)
        guard unreachable.isEmpty else {
            return .refuted("the probe is inconclusive: with the rules off it does not reach \(unreachable.joined(separator: ", "))")
        }

        let withRules = try await party.namespace.run { ProbeSocket.reached(targets, milliseconds: 1000) }
        let open = zip(closed, withRules.dropFirst()).filter(\.1).map(\.0.name)
        guard open.isEmpty else { return .refuted("a sandbox reaches \(open.joined(separator: ", "))") }
        guard withRules[0] else { return .refuted("a sandbox does not reach the outside") }

        let published = ProbeSocket.Target(name: "", address: neighbourhood.hostAddress, port: other.publishedPort)
        var fromPrivate = published
        fromPrivate.source = neighbourhood.closedAddresses[0]
        let neighbour = fromPrivate
        guard try await OwnThread.run({ ProbeSocket.reached([published], milliseconds: 2000) })[0] else {
            return .refuted("a published port does not answer this host")
        }
        guard try await neighbourhood.namespace.run({ ProbeSocket.reached([neighbour], milliseconds: 2000) })[0] else {
            return .refuted("a published port does not answer a neighbour with a private address")
        }
        return .proved
    }

    // MARK: Containers

    private func name(_ folder: SandboxID) -> String { "execbox-\(configuration.shortID)-probe-\(folder.ulid.text)" }

    private func party(_ folder: SandboxID, publishOn address: String?) async throws -> Party {
        try runDirectory.make(folder)
        var creation = ContainerCreation(
            image: image, entrypoint: AgentVolume.arguments,
            labels: [DockerLabel.cluster: configuration.clusterID, DockerLabel.purpose: "probe"],
            hostConfig: .init(
                networkMode: configuration.networkName,
                mounts: [agentMount, .init(type: "bind", source: runDirectory.path(of: folder), target: AgentVolume.socketFolder)]))
        creation.hostConfig.pidsLimit = 16
        creation.hostConfig.memory = 64 * 1024 * 1024
        creation.hostConfig.memorySwap = creation.hostConfig.memory
        let port = "\(Self.listenerPort)/tcp"
        if let address {
            creation.exposedPorts[port] = .init()
            creation.hostConfig.portBindings[port] = [.init(hostIp: address, hostPort: "0")]
        }
        let id = try await client.createContainer(name: name(folder), creation)
        try await client.startContainer(id)
        guard let found = try await client.inspectContainer(id), found.state.pid > 0,
            let own = found.networkSettings.networks?[configuration.networkName]?.address, IPv4Range.address(own) != nil
        else { throw BackendError.internal("the probe's container does not run") }
        let published = found.networkSettings.ports?[port]??.lazy.compactMap { UInt16($0.hostPort) }.first
        if address != nil, published == nil { throw BackendError.internal("the probe's container publishes no port") }
        return Party(
            container: id, folder: folder, address: own, namespace: try NetworkNamespace.of(pid: found.state.pid),
            publishedPort: published ?? 0)
    }

    private func remove(_ folder: SandboxID) async throws {
        if let failure = try await client.removeContainer(name(folder)), failure.status != 404, failure.status != 409 { throw failure }
        try runDirectory.remove(folder)
    }
}

extension SandboxID {
    static func makeNow() -> Self {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return make(unixMilliseconds: UInt64(now.tv_sec) * 1000 + UInt64(now.tv_nsec) / 1_000_000)
    }
}
