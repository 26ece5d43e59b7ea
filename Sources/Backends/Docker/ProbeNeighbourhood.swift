import Glibc

/// A namespace behind this host that owns one address of every closed range and one of the open world, for the probe to knock at.
///
/// It is joined to the host by a pair of interfaces and one route for each address; all of that goes with the object, or with the process.
struct ProbeNeighbourhood: Sendable {
    let namespace: NetworkNamespace
    /// The host's end, from a range for documentation that nobody routes.
    let hostAddress: String
    /// Stands for the open world: from the same range.
    let outsideAddress: String
    /// One for each of `HostRules.closedRanges`, in that order.
    let closedAddresses: [String]
    private let interface: String

    init(avoiding subnet: String) async throws {
        let namespace = try await NetworkNamespace.make()
        self.namespace = namespace
        let suffix = String(UInt32.random(in: 0 ... .max), radix: 36)
        let interface = "ebh\(suffix)"
        self.interface = interface
        // 198.51.100.0/24 and the lower half of 203.0.113.0/24, in pairs.
        let pair = UInt32.random(in: 0..<192)
        let base = pair < 128 ? 0xC633_6400 + pair * 2 : 0xCB00_7100 + (pair - 128) * 2
        hostAddress = IPv4Range.text(base)
        outsideAddress = IPv4Range.text(base + 1)
        let taken = [subnet] + (try await Self.routes())
        closedAddresses = HostRules.closedRanges.map { Self.pick($0, avoiding: taken.compactMap { IPv4Range($0) }) }

        _ = try await HostCommand(
            "ip", ["link", "add", interface, "type", "veth", "peer", "name", "ebp\(suffix)", "netns", namespace.path]
        )
        .output()
        do {
            var inside = "link set lo up\naddress add \(outsideAddress)/31 dev ebp\(suffix)\n"
            for address in closedAddresses { inside += "address add \(address)/32 dev ebp\(suffix)\n" }
            inside += "link set ebp\(suffix) up\nroute add default via \(hostAddress)\n"
            let commands = HostCommand("ip", ["-batch", "-"], input: inside)
            try await namespace.run { _ = try commands.run() }
            var outside = "address add \(hostAddress)/31 dev \(interface)\nlink set \(interface) up\n"
            for address in closedAddresses { outside += "route add \(address)/32 dev \(interface)\n" }
            _ = try await HostCommand("ip", ["-batch", "-"], input: outside).output()
        } catch {
            await remove()
            throw error
        }
    }

    /// Takes the interfaces away at once, and the routes with them.
    func remove() async {
        _ = try? await HostCommand("ip", ["link", "delete", interface]).output()
    }

    /// Ranges that are routed somewhere already.
    private static func routes() async throws -> [String] {
        try await HostCommand("ip", ["-4", "route", "show", "table", "all"]).output().split(whereSeparator: \.isNewline).compactMap {
            line in
            line.split(separator: " ").first { $0.contains("/") || IPv4Range.address($0) != nil }.map {
                $0.contains("/") ? String($0) : "\($0)/32"
            }
        }
    }

    /// Any address of the range that nobody else uses, as far as this host knows.
    private static func pick(_ text: String, avoiding taken: [IPv4Range]) -> String {
        guard let range = IPv4Range(text) else { return "" }
        // In 224/3 only the upper half takes connections: the lower one is multicast. Its last address is broadcast.
        let low = text.hasPrefix("224.") ? UInt32(1) << 28 : 1
        let high = (UInt32(1) << (32 - UInt32(range.length))) - 2
        var address = range.first
        for _ in 0..<100 {
            address = range.first + UInt32.random(in: low...high)
            if !taken.contains(where: { $0.length > 8 && $0.contains(address) }) { break }
        }
        return IPv4Range.text(address)
    }
}
