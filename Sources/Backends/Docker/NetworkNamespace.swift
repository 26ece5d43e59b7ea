import Glibc

/// A network namespace, kept by its descriptor: it goes with the last process, socket and descriptor in it.
final class NetworkNamespace: Sendable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let descriptor: Int32

    private init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// A new one with nothing in it but a loopback that is down. A crash leaves nothing behind.
    static func make() async throws -> NetworkNamespace {
        try await OwnThread.run {
            guard NamespaceCall.unshare?(NamespaceCall.network) == 0 else { throw failure("a network namespace cannot be made") }
            return try open("/proc/thread-self/ns/net")
        }
    }

    /// That of a process.
    static func of(pid: Int32) throws -> NetworkNamespace { try open("/proc/\(pid)/ns/net") }

    private static func open(_ path: String) throws -> NetworkNamespace {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("\(path) cannot be opened") }
        return NetworkNamespace(descriptor)
    }

    /// Runs `body` in this namespace. Sockets that it makes stay in it, wherever they are used.
    func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await OwnThread.run { [self] in
            guard NamespaceCall.enter?(descriptor, NamespaceCall.network) == 0 else {
                throw Self.failure("a network namespace cannot be entered")
            }
            return try body()
        }
    }

    /// The path by which other programs find it while this object lives.
    var path: String { "/proc/\(getpid())/fd/\(descriptor)" }

    private static func failure(_ what: String) -> Failure { Failure(description: "\(what): \(String(cString: strerror(errno)))") }
}

/// Two calls of glibc that Swift's module of it lacks, since they are declared for _GNU_SOURCE only; found by name at run time.
private enum NamespaceCall {
    /// CLONE_NEWNET of <linux/sched.h>.
    static let network: Int32 = 0x4000_0000

    static var unshare: (@convention(c) (Int32) -> Int32)? {
        dlsym(nil, "unshare").map { unsafeBitCast($0, to: (@convention(c) (Int32) -> Int32).self) }
    }

    static var enter: (@convention(c) (Int32, Int32) -> Int32)? {
        dlsym(nil, "setns").map { unsafeBitCast($0, to: (@convention(c) (Int32, Int32) -> Int32).self) }
    }
}
