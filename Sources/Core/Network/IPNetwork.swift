/// A range of addresses: `10.0.0.0/8`, `fd00::/8`, or a single address.
package struct IPNetwork: Hashable, Sendable, CustomStringConvertible {
    private let base: IPAddress
    private let prefix: Int

    /// - Returns: nil unless `text` is an address, or one with a prefix length that it has room for.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let base = IPAddress(String(parts[0])) else { return nil }
        let bits = base.bytes.count * 8
        guard parts.count == 1 || Int(parts[1]).map({ (0...bits).contains($0) }) == true else { return nil }
        self.base = base
        prefix = parts.count == 2 ? Int(parts[1]) ?? bits : bits
    }

    package func contains(_ address: IPAddress) -> Bool {
        guard address.bytes.count == base.bytes.count else { return false }
        for (index, (one, other)) in zip(address.bytes, base.bytes).enumerated() {
            let bits = min(8, max(0, prefix - index * 8))
            guard one >> (8 - bits) == other >> (8 - bits) else { return false }
        }
        return true
    }

    package var description: String { "\(base)/\(prefix)" }

    /// What a server must not be talked into connecting to: itself, its neighbours, and what is no host at all (RFC 6890).
    package static let notPublic: [IPNetwork] = [
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3", "::/127", "::/96",
        "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    ].compactMap(IPNetwork.init)
}
