import ExecboxCurl
import ExecboxSandbox

/// The bridge network of ours that `outgoing` and `exposed` sandboxes share, without traffic between them.
struct DockerNetwork: Sendable {
    let configuration: DockerConfiguration
    let client: DockerClient

    private struct Creation: Encodable, Sendable {
        struct IPAM: Encodable, Sendable { var config: [Pool] }
        struct Pool: Encodable, Sendable {
            var subnet: String
            var gateway: String
        }

        var name: String
        var checkDuplicate = true
        var driver = "bridge"
        var enableIPv6 = false
        var `internal` = false
        var addresses: IPAM
        var options: [String: String]
        var labels: [String: String]

        private enum CodingKeys: String, CodingKey {
            case name, checkDuplicate, driver, enableIPv6, `internal`, options, labels
            case addresses = "IPAM"
        }
    }

    private struct Inspection: Decodable {
        struct IPAM: Decodable { let config: [Pool]? }
        struct Pool: Decodable { let subnet: String? }
        let id: String
        let labels: [String: String]?
        let options: [String: String]?
        let addresses: IPAM?

        private enum CodingKeys: String, CodingKey {
            case id, labels, options
            case addresses = "iPAM"
        }
    }

    /// The address of the host on the bridge.
    var gateway: String { IPv4Range(configuration.subnet)?.address(at: 1) ?? "" }

    /// Makes the network unless it exists as configured; refuses one that is not ours or differs.
    func ensure() async throws {
        for _ in 0..<3 {
            if let found = try await inspect() {
                try check(found)
                return
            }
            let response = try await client.call(
                "POST", "/networks/create", headers: DockerClient.jsonHeaders,
                body: try DockerClient.body(
                    Creation(
                        name: configuration.networkName, addresses: .init(config: [.init(subnet: configuration.subnet, gateway: gateway)]),
                        options: [
                            "com.docker.network.bridge.name": configuration.bridgeName,
                            "com.docker.network.bridge.enable_icc": "false",
                            "com.docker.network.bridge.enable_ip_masquerade": "true",
                            "com.docker.network.bridge.host_binding_ipv4": configuration.exposedBindAddress,
                        ],
                        labels: [DockerLabel.cluster: configuration.clusterID])),
                deadline: client.deadlines.change)
            // 409: another server of ours was faster; look again.
            if response.status >= 400, response.status != 409 { throw DockerClient.failure(response.status, response.body) }
        }
        throw BackendError.internal("the network \(configuration.networkName) can neither be found nor made")
    }

    /// Removes the network if it is ours; success when there is none. Fails while sandboxes are on it.
    func remove() async throws {
        guard let found = try await inspect() else { return }
        try checkOwner(found)
        let response = try await client.call("DELETE", "/networks/\(DockerClient.escape(found.id))", deadline: client.deadlines.change)
        if response.status >= 400, response.status != 404 { throw DockerClient.failure(response.status, response.body) }
    }

    private func inspect() async throws -> Inspection? {
        do {
            return try await client.exchange("GET", "/networks/\(DockerClient.escape(configuration.networkName))", as: Inspection.self)
        } catch let failure as DockerFailure where failure.status == 404 {
            return nil
        }
    }

    private func checkOwner(_ found: Inspection) throws(BackendError) {
        guard found.labels?[DockerLabel.cluster] == configuration.clusterID else {
            throw .internal("a network \(configuration.networkName) exists that is not ours")
        }
    }

    private func check(_ found: Inspection) throws(BackendError) {
        try checkOwner(found)
        guard found.options?["com.docker.network.bridge.name"] == configuration.bridgeName,
            found.options?["com.docker.network.bridge.enable_icc"] == "false",
            found.addresses?.config?.first?.subnet == configuration.subnet
        else {
            throw .internal(
                "the network \(configuration.networkName) was made with other settings; remove it with 'docker network rm "
                    + "\(configuration.networkName)' when no sandbox runs")
        }
    }
}
