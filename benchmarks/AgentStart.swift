import Foundation
import Glibc

/// An agent on its own, started with a server's socket in its run folder.
enum AgentStart {
    /// How long it takes from the start of the program to the first byte of its hello, in milliseconds.
    static func measure(_ program: String) async throws -> Double {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result { try measureBlocking(program) }) }
        }
    }

    private static func measureBlocking(_ program: String) throws -> Double {
        var template = Array("/tmp/execbox-bench-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw failure("mkdtemp") }
        let folder = String(cString: made)
        let path = folder + "/00c0ffee.sock"
        defer {
            unlink(path)
            rmdir(folder)
        }
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard listener >= 0 else { throw failure("socket") }
        defer { close(listener) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else { throw failure("a short path") }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        guard bound == 0, listen(listener, 8) == 0 else { throw failure("listen") }

        let clock = ContinuousClock()
        let begin = clock.now
        let pid = try Program.spawn([program, "--dial-out", folder], standardOutput: 2)
        defer {
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
        }
        let connection = accept(listener, nil, nil)
        guard connection >= 0 else { throw failure("accept") }
        defer { close(connection) }
        var first: UInt8 = 0
        guard read(connection, &first, 1) == 1 else { throw failure("the agent's hello") }
        return (clock.now - begin).milliseconds
    }

    private static func failure(_ what: String) -> Program.Failure { .init(description: "\(what): errno \(errno)") }
}
