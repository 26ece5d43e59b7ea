import Foundation
import Glibc

/// A program as a whole process, from its start to its end.
enum Program {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    struct Outcome {
        /// Of standard output.
        var bytes = 0
        /// From the start to the first byte of standard output; nil if there was none.
        var firstByte: Duration?
        /// From the start until it has ended.
        var total: Duration
    }

    /// Runs it with nothing on stdin and reads its standard output to the end, on a thread that may wait.
    ///
    /// - Throws: `Failure` if it cannot be started or does not exit with 0; its standard error is ours.
    static func run(_ arguments: [String]) async throws -> Outcome {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result { try runBlocking(arguments) }) }
        }
    }

    /// Runs it and returns what it wrote to standard output.
    static func output(_ arguments: [String]) async throws -> String {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(
                    with: Result {
                        var bytes: [UInt8] = []
                        _ = try runBlocking(arguments) { bytes += $0 }
                        return String(decoding: bytes, as: UTF8.self)
                    })
            }
        }
    }

    private static func runBlocking(_ arguments: [String], consume: (UnsafeRawBufferPointer) -> Void = { _ in }) throws -> Outcome {
        var pipe: [Int32] = [0, 0]
        guard Glibc.pipe(&pipe) == 0 else { throw Failure(description: "no pipe: errno \(errno)") }
        defer { close(pipe[0]) }
        for end in pipe { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        // As large as a pipe may be without privileges, so that no side is held up by its reader. F_SETPIPE_SZ, which Glibc's module lacks.
        _ = fcntl(pipe[0], 1031, 1 << 20)
        let clock = ContinuousClock()
        let begin = clock.now
        let pid: pid_t
        do {
            defer { close(pipe[1]) }
            pid = try spawn(arguments, standardOutput: pipe[1])
        }
        var outcome = Outcome(total: .zero)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
        defer { buffer.deallocate() }
        while true {
            let count = read(pipe[0], buffer.baseAddress, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            if outcome.firstByte == nil { outcome.firstByte = clock.now - begin }
            outcome.bytes += count
            consume(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]))
        }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        outcome.total = clock.now - begin
        guard status == 0 else { throw Failure(description: "\(arguments.joined(separator: " ")) ended with wait status \(status)") }
        return outcome
    }

    /// Starts it with nothing on stdin; the caller waits for its end.
    static func spawn(_ arguments: [String], standardOutput: Int32) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, standardOutput, 1)
        var argv = arguments.map { strdup($0) } + [nil]
        defer { argv.forEach { free($0) } }
        var pid: pid_t = 0
        let code = posix_spawnp(&pid, arguments[0], &actions, nil, &argv, environ)
        guard code == 0 else { throw Failure(description: "\(arguments[0]) does not start: errno \(code)") }
        return pid
    }
}

extension Duration {
    var milliseconds: Double { self / .milliseconds(1) }
}

/// How long `work` takes, in milliseconds.
func milliseconds(_ work: () async throws -> Void) async rethrows -> Double {
    let clock = ContinuousClock()
    let begin = clock.now
    try await work()
    return (clock.now - begin).milliseconds
}
