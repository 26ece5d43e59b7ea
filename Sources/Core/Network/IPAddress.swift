#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// An IPv4 or IPv6 address. IPv4 addresses that come in IPv6's clothes are IPv4 addresses.
package struct IPAddress: Hashable, Sendable, CustomStringConvertible {
    /// 4 or 16, in network order.
    package let bytes: [UInt8]

    /// - Returns: nil unless `text` is an address without port, zone or prefix length.
    package init?(_ text: String) {
        var v4 = in_addr()
        if inet_pton(AF_INET, text, &v4) == 1 {
            self.init(v4: withUnsafeBytes(of: &v4) { Array($0) })
            return
        }
        var v6 = in6_addr()
        guard inet_pton(AF_INET6, text, &v6) == 1 else { return nil }
        self.init(v6: withUnsafeBytes(of: &v6) { Array($0) })
    }

    /// - Parameter v4: in network order.
    package init(v4: [UInt8]) {
        precondition(v4.count == 4, "an IPv4 address has four bytes")
        bytes = v4
    }

    /// Unwraps IPv4-mapped (RFC 4291 §2.5.5.2) and NAT64 addresses (RFC 6052, `64:ff9b::/96`), and 6to4 (RFC 3056).
    package init(v6: [UInt8]) {
        precondition(v6.count == 16, "an IPv6 address has sixteen bytes")
        let mapped = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF]
        let nat64: [UInt8] = [0x00, 0x64, 0xFF, 0x9B] + [UInt8](repeating: 0, count: 8)
        if v6.starts(with: mapped) || v6.starts(with: nat64) {
            bytes = Array(v6[12...])
        } else if v6.starts(with: [0x20, 0x02]) {
            bytes = Array(v6[2..<6])
        } else {
            bytes = v6
        }
    }

    package var isV4: Bool { bytes.count == 4 }

    package var description: String {
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        _ = bytes.withUnsafeBytes { inet_ntop(isV4 ? AF_INET : AF_INET6, $0.baseAddress, &buffer, socklen_t(buffer.count)) }
        return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Whom a limit per address means: an IPv6 customer has a whole /64.
    package var customer: String {
        isV4 ? description : IPAddress(plain: Array(bytes[..<8]) + [UInt8](repeating: 0, count: 8)).description + "/64"
    }

    private init(plain: [UInt8]) { bytes = plain }
}
