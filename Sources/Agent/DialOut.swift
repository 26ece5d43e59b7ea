import CAgent

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Keeps idle connections to every server that listens in the run directory.
///
/// The directory is a read-only mount: notifications of changes made on the other side do not come through reliably, so it is read again
/// and again.
final class DialOut {
    private static let parked = 2
    /// A server each; more are somebody's mistake.
    private static let maxSockets = 64
    private static let interval: UInt64 = 250
    /// A new sandbox is waited for, and its server listens at about the time it starts.
    private static let firstInterval: UInt64 = 5
    private static let firstSeconds: UInt64 = 2

    private unowned let agent: Agent
    private let directory: String
    private let startedAt = Clock.now

    init(agent: Agent, directory: String) {
        self.agent = agent
        self.directory = directory
    }

    /// Connects wherever a connection is missing, and goes on doing so.
    func scan() {
        var isConnected = false
        for name in socketNames() {
            dial(name)
            isConnected = isConnected || agent.idleCount(of: name) > 0
        }
        let isNew = !isConnected && Clock.now - startedAt < Self.firstSeconds * Clock.second
        _ = agent.after(milliseconds: isNew ? Self.firstInterval : Self.interval) { [unowned self] in scan() }
    }

    /// Fills up the idle connections of one socket. One that does not accept is tried again with the next scan.
    func dial(_ name: String) {
        while agent.idleCount(of: name) < Self.parked {
            guard let descriptor = connect(directory + "/" + name) else { return }
            guard agent.adopt(descriptor, socketName: name) else { return }
        }
    }

    private func socketNames() -> [String] {
        guard let folder = opendir(directory) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while names.count < Self.maxSockets, let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
            if Self.isSocketName(name) { names.append(name) }
        }
        return names
    }

    /// `<8 hex>.sock`.
    static func isSocketName(_ name: String) -> Bool {
        name.utf8.count == 13 && name.hasSuffix(".sock") && name.utf8.prefix(8).allSatisfy { Character(UnicodeScalar($0)).isHexDigit }
    }

    private func connect(_ path: String) -> Int32? {
        var address = sockaddr_un()
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard path.utf8.count < room else { return nil }
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { return nil }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Self.connectSocket(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            close(descriptor)
            return nil
        }
        // The default takes less than one long frame; the kernel cuts this to what it allows.
        var size: Int32 = 1 << 20
        setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        return descriptor
    }

    private static func connectSocket(_ descriptor: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> Int32 {
        #if canImport(Musl)
            Musl.connect(descriptor, address, length)
        #else
            Glibc.connect(descriptor, address, length)
        #endif
    }
}
