import Glibc
import Synchronization

/// Stands between a backend and the engine so that a test can take the engine away and bring it back.
package final class EngineProxy: Sendable {
    private struct State {
        var listener: Int32 = -1
        var connections: Set<Int32> = []
    }

    package struct Failure: Error {}

    package let path: String
    private let target: String
    private let state = Mutex(State())

    package init(path: String, target: String) {
        self.path = path
        self.target = target
    }

    deinit { stop() }

    package func start() throws {
        let listener = Self.makeSocket()
        guard Self.withAddress(path, { bind(listener, $0, $1) }) == 0, listen(listener, 64) == 0 else { throw Failure() }
        state.withLock { $0.listener = listener }
        Self.startThread { [weak self] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0, let self else { break }
                self.join(client)
            }
        }
    }

    /// The socket's file and every connection go, as when the engine is stopped.
    package func stop() {
        unlink(path)
        let (listener, connections) = state.withLock { state in
            defer { state = State() }
            return (state.listener, state.connections)
        }
        if listener >= 0 {
            shutdown(listener, Int32(SHUT_RDWR))
            close(listener)
        }
        for connection in connections { shutdown(connection, Int32(SHUT_RDWR)) }
    }

    private func join(_ client: Int32) {
        let engine = Self.makeSocket()
        guard Self.withAddress(target, { connect(engine, $0, $1) }) == 0 else {
            close(client)
            close(engine)
            return
        }
        state.withLock { _ = $0.connections.insert(client) }
        let ends = Ends(client, engine)
        for (from, to) in [(client, engine), (engine, client)] {
            Self.startThread { [weak self] in
                var buffer = [UInt8](repeating: 0, count: 65_536)
                while case let count = read(from, &buffer, buffer.count), count > 0 {
                    var sent = 0
                    while sent < count {
                        let more = buffer[sent..<count].withUnsafeBytes { send(to, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                        if more <= 0 { break }
                        sent += more
                    }
                    if sent < count { break }
                }
                shutdown(from, Int32(SHUT_RDWR))
                shutdown(to, Int32(SHUT_RDWR))
                if ends.isLast() {
                    _ = self?.state.withLock { $0.connections.remove(client) }
                    close(client)
                    close(engine)
                }
            }
        }
    }

    /// The second of two threads closes both descriptors.
    private final class Ends: Sendable {
        private let left = Atomic<Int>(2)
        init(_: Int32, _: Int32) {}
        func isLast() -> Bool { left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 }
    }

    private static func makeSocket() -> Int32 { socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0) }

    private static func withAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }

    private final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    private static func startThread(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let work = Unmanaged.passRetained(Work(body))
        let code = pthread_create(
            &thread, nil,
            { context in
                if let context { Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body() }
                return nil
            }, work.toOpaque())
        if code == 0 { pthread_detach(thread) } else { work.release() }
    }
}
