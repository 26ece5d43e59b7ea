import CAgent

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Accepts servers over TCP, for backends where the agent cannot reach them.
///
/// Processes of the sandbox can connect too: whoever comes from an address of this machine is turned away before a word is said.
final class Listener {
    private static let maxUnproved = 16

    private unowned let agent: Agent
    private let descriptor: Int32
    /// Given up for a moment when there are no descriptors left, so that connections can be taken off the queue and closed.
    private var spare = open("/dev/null", O_RDONLY | O_CLOEXEC)

    /// - Returns: nil if the address cannot be listened on.
    init?(agent: Agent, address: String, port: UInt16) {
        self.agent = agent
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        guard let place = SocketAddress(address, port: port) else { return nil }
        descriptor = socket(place.family, type, 0)
        guard descriptor >= 0 else { return nil }
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        guard place.bind(descriptor) == 0, listen(descriptor, 128) == 0,
            agent.poller.add(descriptor, Poller.readable, handler: { [unowned self] _ in acceptAll() })
        else {
            close(descriptor)
            return nil
        }
    }

    private func acceptAll() {
        for _ in 0..<64 {
            guard let (peer, address) = SocketAddress.accept(descriptor) else {
                if errno == EMFILE || errno == ENFILE { turnOneAway() }
                return
            }
            guard !address.isOwn, agent.unprovedCount < Self.maxUnproved else {
                close(peer)
                continue
            }
            var yes: Int32 = 1
            setsockopt(peer, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
            // A server that vanished without a word must not be waited for.
            setsockopt(peer, SOL_SOCKET, SO_KEEPALIVE, &yes, socklen_t(MemoryLayout<Int32>.size))
            _ = agent.adopt(peer, socketName: nil)
        }
    }

    private func turnOneAway() {
        close(spare)
        if let (peer, _) = SocketAddress.accept(descriptor) { close(peer) }
        spare = open("/dev/null", O_RDONLY | O_CLOEXEC)
    }
}
