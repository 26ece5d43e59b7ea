import Glibc

/// TCP sockets of the isolation probe. Blocking and short: on threads of their own only.
final class ProbeSocket: Sendable {
    struct Target: Sendable {
        /// As a refusal names it.
        let name: String
        let address: String
        let port: UInt16
        /// Binds there first, when given.
        var source: String?
    }

    private let descriptor: Int32
    let port: UInt16

    /// A listener; the kernel completes connections to it without anybody accepting.
    init(listenOn address: String, port: UInt16 = 0) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        guard descriptor >= 0, Self.bind(descriptor, address, port), listen(descriptor, 128) == 0 else {
            let words = String(cString: strerror(errno))
            close(descriptor)
            throw NetworkNamespace.Failure(description: "\(address) cannot be listened on: \(words)")
        }
        var bound = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &bound) { pointer in
            _ = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        self.descriptor = descriptor
        self.port = bound.sin_port.bigEndian
    }

    deinit { close(descriptor) }

    /// Which of the targets a connection is made to within the time, tried at once, from the calling thread's namespace.
    static func reached(_ targets: [Target], milliseconds: Int) -> [Bool] {
        var reached = [Bool](repeating: false, count: targets.count)
        var waiting = targets.map { target -> pollfd in
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            if let source = target.source, !bind(descriptor, source, 0) {
                close(descriptor)
                return pollfd(fd: -1, events: 0, revents: 0)
            }
            var address = Self.address(target.address, target.port)
            withUnsafePointer(to: &address) { pointer in
                _ = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            return pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        }
        let opened = waiting.map(\.fd)
        let clock = ContinuousClock()
        let deadline = clock.now + .milliseconds(milliseconds)
        while waiting.contains(where: { $0.fd >= 0 }) {
            let left = (deadline - clock.now).components
            let wait = left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000
            guard wait > 0 else { break }
            guard poll(&waiting, nfds_t(waiting.count), Int32(wait)) > 0 else { continue }
            for index in waiting.indices where waiting[index].fd >= 0 && waiting[index].revents != 0 {
                var error: Int32 = 0
                var size = socklen_t(MemoryLayout<Int32>.size)
                getsockopt(waiting[index].fd, SOL_SOCKET, SO_ERROR, &error, &size)
                reached[index] = error == 0 && Int32(waiting[index].revents) & POLLHUP == 0
                // A negative descriptor is skipped by poll.
                waiting[index].fd = -1
            }
        }
        for descriptor in opened where descriptor >= 0 { close(descriptor) }
        return reached
    }

    private static func bind(_ descriptor: Int32, _ text: String, _ port: UInt16) -> Bool {
        var address = address(text, port)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    private static func address(_ text: String, _ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = (IPv4Range.address(text) ?? 0).bigEndian
        return address
    }
}
