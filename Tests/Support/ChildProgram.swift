import Glibc

/// Programs that tests start beside themselves.
package enum ChildProgram {
    package struct Failure: Error { package let errno: Int32 }

    /// Starts a program with standard error (and standard output, unless named) in a file.
    package static func spawn(
        _ arguments: [String], environment: [String: String], output: String, standardOutput: String? = nil
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let flags = O_WRONLY | O_CREAT | O_APPEND
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, standardOutput ?? output, flags, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, output, flags, 0o600)
        var argv = arguments.map { strdup($0) } + [nil]
        var envp = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (argv + envp).forEach { free($0) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, arguments[0], &actions, nil, &argv, &envp)
        guard code == 0 else { throw Failure(errno: code) }
        return pid
    }

    /// True once it has ended; the exit code is then gone.
    package static func hasEnded(_ pid: pid_t) -> Bool {
        var status: Int32 = 0
        let result = waitpid(pid, &status, WNOHANG)
        return result == pid || (result < 0 && errno == ECHILD)
    }

    /// Sends the signal and waits for the end. A program that has not ended after a minute is killed: the test fails instead of waiting
    /// for ever. So is one whose test was cancelled.
    ///
    /// - Returns: whether it ended by itself.
    @discardableResult
    package static func end(_ pid: pid_t, _ signal: Int32) async -> Bool {
        _ = kill(pid, signal)
        // A stopped program hears nothing but SIGKILL.
        _ = kill(pid, SIGCONT)
        let deadline = ContinuousClock.now + .seconds(60)
        while !hasEnded(pid) {
            guard ContinuousClock.now < deadline, (try? await Task.sleep(for: .milliseconds(5))) != nil else {
                _ = kill(pid, SIGKILL)
                _ = wait(pid)
                return false
            }
        }
        return true
    }

    /// Waits, and gives the exit code; 128 + n after a signal.
    package static func wait(_ pid: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
    }
}
