import ExecboxWire
import Foundation
import Synchronization

/// A fake agent that listens on a loopback port.
final class FakeListener: Sendable {
    struct NoPort: Error {}

    let port: Int
    private let descriptor: Int32
    private let script: FakeAgent.Script
    private let open = Mutex<[FakeConnection]>([])
    private let threads = Mutex(0)

    /// - Parameter isListening: if not, the port is taken and connections are refused until `startListening`.
    init(script: @escaping FakeAgent.Script, isListening: Bool = true) throws {
        self.script = script
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, length) == 0 && getsockname(descriptor, address, &length) == 0
            }
        }
        self.descriptor = descriptor
        port = Int(UInt16(bigEndian: address.sin_port))
        guard result else { throw NoPort() }
        if isListening { startListening() }
    }

    func startListening() {
        listen(descriptor, 64)
        startThread { [self] in
            while true {
                let accepted = accept(descriptor, nil, nil)
                guard accepted >= 0 else { return }
                _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
                let connection = FakeConnection(descriptor: accepted)
                open.withLock { $0.append(connection) }
                startThread { [self] in
                    if let first = connection.readMessage() { script(connection, first) }
                    connection.close()
                }
            }
        }
    }

    private func startThread(_ body: @escaping @Sendable () -> Void) {
        threads.withLock { $0 += 1 }
        let thread = Thread { [self] in
            body()
            threads.withLock { $0 -= 1 }
        }
        thread.stackSize = 256 * 1024
        thread.start()
    }

    /// Ends all connections and waits for the threads.
    func stop() async {
        shutdown(descriptor, Int32(SHUT_RDWR))
        while threads.withLock({ $0 }) > 0 {
            for connection in open.withLock({ $0 }) { connection.shutDown() }
            await Task.yield()
        }
        close(descriptor)
    }
}
