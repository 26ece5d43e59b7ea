import Foundation

/// A child process that this test owns.
///
/// Foundation's `Process` learns of an end by a socket that its children's children inherit too, and waits for all of them.
final class ChildProcess: Sendable {
    struct CannotStart: Error {
        let path: String
        let error: Int32
    }

    let pid: Int32

    init(_ arguments: [String]) throws {
        var pid: pid_t = 0
        var pointers = arguments.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        pointers.append(nil)
        let error = posix_spawn(&pid, arguments[0], nil, nil, pointers, environ)
        guard error == 0 else { throw CannotStart(path: arguments[0], error: error) }
        self.pid = pid
    }

    /// Kills it unless it has ended, and waits for that. Called once, unless `exitStatus` gave a status.
    func end() {
        kill(pid, SIGKILL)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    }

    /// The status that waitpid gives, once it has ended.
    func exitStatus() -> Int32? {
        var status: Int32 = 0
        return waitpid(pid, &status, WNOHANG) == pid ? status : nil
    }
}
