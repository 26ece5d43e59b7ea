import CAgent

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// An IPv4 or IPv6 address with a port, always given by number: resolving names would need name services.
struct SocketAddress {
    private var storage = sockaddr_storage()
    private var length = socklen_t(MemoryLayout<sockaddr_storage>.size)

    var family: Int32 { Int32(storage.ss_family) }

    private init() {}

    /// - Returns: nil if `text` is not an address.
    init?(_ text: String, port: UInt16) {
        var four = sockaddr_in()
        var six = sockaddr_in6()
        if inet_pton(AF_INET, text, &four.sin_addr) == 1 {
            four.sin_family = sa_family_t(AF_INET)
            four.sin_port = port.bigEndian
            withUnsafeMutableBytes(of: &storage) { target in withUnsafeBytes(of: four) { target.copyMemory(from: $0) } }
            length = socklen_t(MemoryLayout<sockaddr_in>.size)
        } else if inet_pton(AF_INET6, text, &six.sin6_addr) == 1 {
            six.sin6_family = sa_family_t(AF_INET6)
            six.sin6_port = port.bigEndian
            withUnsafeMutableBytes(of: &storage) { target in withUnsafeBytes(of: six) { target.copyMemory(from: $0) } }
            length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        } else {
            return nil
        }
    }

    func bind(_ descriptor: Int32) -> Int32 {
        withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                #if canImport(Musl)
                    Musl.bind(descriptor, $0, length)
                #else
                    Glibc.bind(descriptor, $0, length)
                #endif
            }
        }
    }

    /// The next connection and who made it; nil with `errno` set if there is none.
    static func accept(_ listener: Int32) -> (descriptor: Int32, peer: SocketAddress)? {
        var address = SocketAddress()
        let descriptor = withUnsafeMutablePointer(to: &address.storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                #if canImport(Musl)
                    Musl.accept(listener, $0, &address.length)
                #else
                    Glibc.accept(listener, $0, &address.length)
                #endif
            }
        }
        guard descriptor >= 0 else { return nil }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        Spawner.makeNonBlocking(descriptor)
        return (descriptor, address)
    }

    /// Whether this is an address of this machine: only those can be bound to.
    var isOwn: Bool {
        var anyPort = self
        withUnsafeMutableBytes(of: &anyPort.storage) { bytes in
            // The port stands at the same place in both families.
            bytes[2] = 0
            bytes[3] = 0
        }
        let descriptor = socket(family, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return true }
        defer { close(descriptor) }
        return anyPort.bind(descriptor) == 0
    }
}
