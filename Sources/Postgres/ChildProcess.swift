import CLibPQ
import Glibc

/// Runs PostgreSQL's own programs. Blocks: for a dedicated thread.
enum ChildProcess {
    /// Runs a program to its end, in a session of its own so that ^C in our terminal is not its business, and throws `.cluster` with its
    /// output unless it exits with one of `accepted`. Returns the exit status and the last 64 KiB of its output.
    ///
    /// Nothing is inherited: no descriptors, no environment but `PATH` and a plain locale, `/` as the directory.
    @discardableResult
    static func run(_ arguments: [String], accepted: Set<Int32> = [0]) throws(PostgresError) -> (status: Int32, output: String) {
        var ends: [Int32] = [-1, -1]
        guard execbox_pipe(&ends, O_CLOEXEC) == 0 else { throw PostgresError(.cluster, "pipe: \(systemMessage(errno))") }
        defer { close(ends[0]) }

        let child: pid_t
        do throws(PostgresError) {
            child = try Self.spawn(arguments, input: nil, output: ends[1])
        } catch {
            close(ends[1])
            throw error
        }
        close(ends[1])

        let output = Self.readAll(ends[0])
        var raw: Int32 = 0
        while waitpid(child, &raw, 0) < 0, errno == EINTR {}
        // WEXITSTATUS, or 128 + signal as shells count.
        let exit = raw & 0x7f == 0 ? (raw >> 8) & 0xff : 128 + (raw & 0x7f)
        guard accepted.contains(exit) else {
            throw PostgresError(.cluster, "\(arguments.joined(separator: " ")) exited with \(exit): \(output)")
        }
        return (exit, output)
    }

    /// Starts a program that outlives us and whose standard input ends when this process does. Its exit is never collected.
    static func leaveBehind(_ arguments: [String]) throws(PostgresError) {
        var ends: [Int32] = [-1, -1]
        guard execbox_pipe(&ends, O_CLOEXEC) == 0 else { throw PostgresError(.cluster, "pipe: \(systemMessage(errno))") }
        defer { close(ends[0]) }
        // The writing end stays open on purpose: the kernel closes it when we are gone.
        _ = try Self.spawn(arguments, input: ends[0], output: nil)
    }

    private static func spawn(_ arguments: [String], input: Int32?, output: Int32?) throws(PostgresError) -> pid_t {
        guard let program = arguments.first else { throw PostgresError(.cluster, "no program") }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        for descriptor: Int32 in [1, 2] {
            if let output {
                posix_spawn_file_actions_adddup2(&actions, output, descriptor)
            } else {
                posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_WRONLY, 0)
            }
        }
        execbox_spawn_close_from(&actions, 3)
        execbox_spawn_directory(&actions, "/")

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        // Our threads block all signals and a server may ignore some; PostgreSQL must start with none of that.
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) | execbox_spawn_setsid())

        let argv = CStringArray(arguments)
        let environment = CStringArray(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"])
        var child = pid_t()
        let status = argv.withMutablePointer { argv in
            environment.withMutablePointer { posix_spawn(&child, program, &actions, &attributes, argv, $0) }
        }
        guard status == 0 else { throw PostgresError(.cluster, "\(program): \(systemMessage(status))") }
        return child
    }

    private static func readAll(_ descriptor: Int32) -> String {
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return String(decoding: output, as: UTF8.self) }
            output += buffer.prefix(count)
            if output.count > 65_536 { output.removeFirst(output.count - 65_536) }
        }
    }
}
