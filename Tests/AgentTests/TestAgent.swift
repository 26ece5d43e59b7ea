import ExecboxWire
import Glibc
import Synchronization

/// A real agent process with a server's socket in its run directory. Dismissed, or killed, when the last reference goes.
final class TestAgent {
    enum Failure: Error {
        case cannot(String, errno: Int32)
        case timeout(String)
        case connectionEnded
        case unexpected(String)
    }

    /// How long a test waits for what has to happen.
    static let patienceMilliseconds: Int32 = 30_000

    let pid: pid_t
    private let directory: String
    private var listener: Int32
    private var hasEnded = false

    /// - Parameter flags: beside `--dial-out`.
    init(_ flags: String...) throws {
        var template = Array("/tmp/execbox-agent-test-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw Failure.cannot("mkdtemp", errno: errno) }
        directory = String(cString: made)
        listener = try Self.listen(directory + "/00c0ffee.sock")
        pid = try Self.spawn([Self.path, "--dial-out", directory] + flags)
    }

    deinit {
        if !hasEnded {
            // So that nothing it started is left behind.
            if let connection = try? connect(), (try? connection.ask(.dismiss)) != nil { _ = try? waitForEnd() }
            if !hasEnded {
                kill(pid, SIGKILL)
                waitpid(pid, nil, 0)
            }
        }
        close(listener)
        unlink(directory + "/00c0ffee.sock")
        rmdir(directory)
    }

    /// `EXECBOX_TEST_AGENT`, else the program built beside the tests.
    static var path: String {
        if let path = getenv("EXECBOX_TEST_AGENT") { return String(cString: path) }
        var buffer = [CChar](repeating: 0, count: 4096)
        let length = readlink("/proc/self/exe", &buffer, buffer.count)
        let program = String(decoding: buffer.prefix(max(0, length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let folder = program.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        return folder + "/execbox-agent"
    }

    /// The next connection that the agent makes, its hello taken off.
    func connect() throws -> TestConnection {
        try Self.wait(for: listener, POLLIN, "the agent's connection")
        let descriptor = accept(listener, nil, nil)
        guard descriptor >= 0 else { throw Failure.cannot("accept", errno: errno) }
        // An agent that another test starts meanwhile must not inherit it.
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        return try TestConnection(descriptor)
    }

    /// One operation's reply.
    func ask(_ message: AgentMessage) throws -> AgentMessage { try connect().ask(message) }

    func open(_ message: AgentMessage) throws -> TestConnection {
        let connection = try connect()
        try connection.open(message)
        return connection
    }

    /// Runs a process to its end.
    func run(_ request: StartRequest, stdin: [UInt8]? = nil) throws -> TestConnection.Outcome {
        let connection = try open(.start(request))
        if let stdin {
            try connection.send(.stdin(stdin))
            try connection.send(.stdinClose)
        }
        return try connection.outcome()
    }

    /// Runs a shell script to its end.
    func run(_ script: String, user: String = "", terminal: StartRequest.TerminalSize? = nil) throws -> TestConnection.Outcome {
        try run(.shell(script, user: user, terminal: terminal))
    }

    func processes() throws -> [ProcessReport] {
        guard case .processes(let list) = try ask(.list) else { throw Failure.unexpected("no list") }
        return list
    }

    func report(of id: String) throws -> ProcessReport? { try processes().first { $0.processID == id } }

    /// Asks again and again until the list is as wanted.
    func waitUntil(_ what: String, _ condition: ([ProcessReport]) -> Bool) throws {
        try Self.poll(what) { condition(try processes()) }
    }

    func openDescriptors() -> Int { Self.entries("/proc/\(pid)/fd") }

    func waitForEnd() throws -> Int32 {
        var status: Int32 = 0
        try Self.poll("the agent's end") { waitpid(pid, &status, WNOHANG) == pid }
        hasEnded = true
        return status
    }

    /// What a killed server leaves: a dead socket file.
    func stopListening() { close(listener) }

    func listenAgain() throws {
        unlink(directory + "/00c0ffee.sock")
        listener = try Self.listen(directory + "/00c0ffee.sock")
    }

    // MARK: Waiting

    static func poll(_ what: String, until condition: () throws -> Bool) throws {
        for _ in 0..<(patienceMilliseconds / 5) {
            if try condition() { return }
            usleep(5000)
        }
        throw Failure.timeout(what)
    }

    static func wait(for descriptor: Int32, _ event: Int32, _ what: String) throws {
        var waiting = pollfd(fd: descriptor, events: Int16(event), revents: 0)
        guard Glibc.poll(&waiting, 1, patienceMilliseconds) > 0 else { throw Failure.timeout(what) }
    }

    // MARK: System

    static func entries(_ folder: String) -> Int {
        guard let directory = opendir(folder) else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        return count
    }

    private static func listen(_ path: String) throws -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard bound == 0, Glibc.listen(descriptor, 512) == 0 else { throw Failure.cannot("listen on \(path)", errno: errno) }
        return descriptor
    }

    static func spawn(_ arguments: [String]) throws -> pid_t {
        var pid: pid_t = 0
        let strings = arguments.map { strdup($0) }
        defer { for string in strings { free(string) } }
        let result = posix_spawn(&pid, arguments[0], nil, nil, strings + [nil], environ)
        guard result == 0 else { throw Failure.cannot("start \(arguments[0])", errno: result) }
        return pid
    }
}

extension StartRequest {
    private static let lastNumber = Mutex(0)

    /// A process id nobody else in this run has.
    static var freshID: String {
        lastNumber.withLock { number in
            number += 1
            return "exec-\(number)"
        }
    }

    static func shell(
        _ script: String, id: String? = nil, environment: [String] = [], user: String = "", terminal: TerminalSize? = nil,
        bufferBytes: UInt32 = 256 * 1024, headBytes: UInt64 = 0, timeoutMs: UInt64 = 0, isRetained: Bool = false,
        flow: StreamFlow = .lossless, epoch: UInt64 = 0
    ) -> Self {
        StartRequest(
            processID: id ?? freshID, arguments: ["/bin/sh", "-c", script], environment: environment, user: user, terminal: terminal,
            bufferBytes: bufferBytes, headBytes: headBytes, timeoutMs: timeoutMs, isRetained: isRetained, flow: flow, epoch: epoch)
    }
}
