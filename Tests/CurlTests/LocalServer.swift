import Glibc
import Synchronization

/// A server of a few lines on a Unix socket, one thread a connection, whose answers are written byte by byte by the test.
final class LocalServer: Sendable {
    /// One accepted connection, used by its handler's thread only.
    final class Connection: Sendable {
        let descriptor: Int32
        private let unread = Mutex<[UInt8]>([])

        init(_ descriptor: Int32) { self.descriptor = descriptor }

        /// Reads up to and including the blank line; empty at the end of the connection.
        func readHead() -> String {
            var head: [UInt8] = []
            while let byte = readByte() {
                head.append(byte)
                if head.suffix(4) == [13, 10, 13, 10] { break }
            }
            return String(decoding: head, as: UTF8.self)
        }

        func readByte() -> UInt8? { read(upTo: 1).first }

        /// Blocks for at least one byte; empty at the end.
        func read(upTo count: Int) -> [UInt8] {
            unread.withLock { unread in
                if unread.isEmpty {
                    var buffer = [UInt8](repeating: 0, count: 65536)
                    let got = Glibc.read(descriptor, &buffer, buffer.count)
                    if got <= 0 { return [] }
                    unread = Array(buffer[..<got])
                }
                let taken = Array(unread.prefix(count))
                unread.removeFirst(taken.count)
                return taken
            }
        }

        func readExactly(_ count: Int) -> [UInt8] {
            var bytes: [UInt8] = []
            while bytes.count < count {
                let more = read(upTo: count - bytes.count)
                if more.isEmpty { break }
                bytes += more
            }
            return bytes
        }

        /// False once the peer is gone.
        @discardableResult
        func write(_ text: String) -> Bool { write(Array(text.utf8)) }

        @discardableResult
        func write(_ bytes: [UInt8]) -> Bool {
            var sent = 0
            while sent < bytes.count {
                let count = bytes[sent...].withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                if count <= 0 { return false }
                sent += count
            }
            return true
        }

        /// Blocks until the peer has closed.
        func waitForClose() {
            while !read(upTo: 65536).isEmpty {}
        }
    }

    let path: String
    private let listener: Int32
    private let accepted = Atomic<Int>(0)
    private let handler: @Sendable (Connection) -> Void

    var connectionCount: Int { accepted.load(ordering: .sequentiallyConsistent) }

    init(handler: @escaping @Sendable (Connection) -> Void) throws {
        self.handler = handler
        path = "/tmp/execbox-curl-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        guard bound == 0, listen(listener, 256) == 0 else { throw Failure.listen(errno) }
        let descriptor = listener
        try Self.startThread { [weak self] in
            while true {
                let connection = accept(descriptor, nil, nil)
                guard connection >= 0, let self else {
                    if connection >= 0 { close(connection) }
                    break
                }
                self.accepted.add(1, ordering: .sequentiallyConsistent)
                let handler = self.handler
                try? Self.startThread {
                    handler(Connection(connection))
                    close(connection)
                }
            }
            close(descriptor)
        }
    }

    enum Failure: Error { case listen(Int32), thread }

    /// Ends the accept loop; connections end with their handlers.
    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        unlink(path)
    }

    private final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    private static func startThread(_ body: @escaping @Sendable () -> Void) throws {
        var thread = pthread_t()
        let work = Unmanaged.passRetained(Work(body))
        let code = pthread_create(
            &thread, nil,
            { context in
                if let context { Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body() }
                return nil
            }, work.toOpaque())
        guard code == 0 else {
            work.release()
            throw Failure.thread
        }
        pthread_detach(thread)
    }
}
