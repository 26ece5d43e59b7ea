import Glibc

/// A program of this host (`iptables`, `ip`) run to its end, with a deadline. Blocks its thread: call it through `OwnThread`.
struct HostCommand: Sendable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private static let folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"]

    let program: String
    var arguments: [String]
    /// Written to standard input at once: at most what a socket's buffer takes, 64 KiB.
    var input: [UInt8] = []
    var seconds = 20

    init(_ program: String, _ arguments: [String], input: String = "") {
        self.program = program
        self.arguments = arguments
        self.input = Array(input.utf8)
    }

    /// Standard output of a program that ended with 0; everything else throws with its words.
    func output() async throws -> String {
        let command = self
        return try await OwnThread.run { try command.run() }
    }

    /// As `output`, on the calling thread and so in its network namespace.
    @discardableResult
    func run() throws -> String {
        guard let path = Self.folders.map({ folder in folder + "/" + program }).first(where: { path in access(path, X_OK) == 0 }) else {
            throw Failure(description: "\(program) is not installed")
        }
        guard input.count <= 65_536 else { throw Failure(description: "\(program): too much input") }
        // One stream socket for input and output; unlike a pipe it can be made so that no other child inherits it.
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw Failure(description: "\(program): no socket")
        }
        let (ours, theirs) = (ends[0], ends[1])
        defer { close(ours) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for standard in Int32(0)...2 { posix_spawn_file_actions_adddup2(&actions, theirs, standard) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Whatever this thread blocks or ignores is nothing the program should inherit.
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=\(Self.folders.joined(separator: ":"))"), strdup("LC_ALL=C"), nil]
        defer { (argv + environment).forEach { free($0) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, path, &actions, &attributes, &argv, &environment)
        close(theirs)
        guard code == 0 else { throw Failure(description: "\(program): \(String(cString: strerror(code)))") }
        if !input.isEmpty { _ = input.withUnsafeBytes { send(ours, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) } }
        shutdown(ours, Int32(SHUT_WR))
        let (text, isInTime) = read(ours)
        if !isInTime { kill(pid, SIGKILL) }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        guard isInTime else { throw Failure(description: "\(program) did not end in \(seconds) s") }
        guard status == 0 else {
            let words = text.split(whereSeparator: \.isNewline).first.map(String.init) ?? "ended with \(status >> 8 & 255)"
            throw Failure(description: "\(program) \(arguments.joined(separator: " ")): \(words)")
        }
        return text
    }

    /// To the end of the stream or the deadline, whichever comes first.
    private func read(_ descriptor: Int32) -> (String, Bool) {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(seconds)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < 16 * 1024 * 1024 {
            let left = (deadline - clock.now).components
            let milliseconds = left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000
            guard milliseconds > 0 else { return ("", false) }
            var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&wanted, 1, Int32(milliseconds))
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else { return ("", false) }
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count <= 0 { break }
            bytes.append(contentsOf: buffer[..<count])
        }
        return (String(decoding: bytes, as: UTF8.self), true)
    }
}
