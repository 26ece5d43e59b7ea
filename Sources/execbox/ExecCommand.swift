import ArgumentParser
import ExecboxAPI
import ExecboxClient
import ExecboxModel

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// `execbox exec SESSION -- COMMAND…`.
struct ExecCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec",
        abstract: "Runs a command in a running session.",
        discussion: """
            Streams as run does. Leaving early hangs the command up, unless --detach or --id was given; variables can be set with the \
            sandbox's own env: execbox exec SESSION -- env A=1 command (they are then visible in URLs, which proxies log).
            """)

    @OptionGroup var server: ServerOptions
    @Option(name: .shortAndLong, help: "Working directory.")
    var workdir: String?
    @Option(name: .shortAndLong, help: "User: name or number, optionally with :group.")
    var user: String?
    @Option(help: "Kill it after so long, such as 30s.")
    var timeout: DurationArgument?
    @Option(help: "An id of your own: the same id with the same command never starts twice.")
    var id: String?
    @Flag(name: .shortAndLong, inversion: .prefixedNo, help: "Give the command a terminal (default: if we are on one).")
    var tty: Bool?
    @Flag(inversion: .prefixedNo, help: "Pass our stdin on.")
    var stdin = true
    @Flag(name: .shortAndLong, help: "Print the exec's id and leave it running.")
    var detach = false
    @Argument(help: "The session's id.")
    var session: String
    @Argument(parsing: .captureForPassthrough, help: "Command and arguments.")
    var command: [String] = []

    func run() async throws {
        let client = try server.client()
        let arguments = try CommandArguments.checked(command, before: "the session")
        guard !arguments.isEmpty else { throw ValidationError("a command is missing: execbox exec SESSION -- COMMAND…") }
        do {
            if detach { return try await start(client, arguments) }
            try await follow(client, arguments)
        } catch let error as ExecboxClientError where error.details["field"] == .text("cmd") || error.details["field"] == .text("command") {
            StandardError.say("execbox: \(error.message)")
            let text = error.message.lowercased()
            let isFound = text.contains("not executable") || text.contains("permission denied")
            throw ExitCode(isFound ? ExitStatus.notExecutable : text.contains("not found") ? ExitStatus.notFound : ExitStatus.ourError)
        }
    }

    private func start(_ client: ExecboxClient, _ arguments: [String]) async throws {
        var body = ExecBody(command: arguments)
        body.workDir = workdir
        body.user = user
        body.timeoutMs = timeout?.milliseconds
        body.id = id
        if tty == true { body.tty = Terminal.size }
        try await StandardOutput().write("\(try await client.execs.start(in: session, body))\n")
    }

    private func follow(_ client: ExecboxClient, _ arguments: [String]) async throws {
        let isTerminal = tty ?? (stdin && Terminal.isInteractive)
        var query = ExecQuery()
        query.command = arguments
        query.workDir = workdir
        query.user = user
        query.timeoutMs = timeout?.milliseconds
        query.id = id
        if isTerminal { query.tty = Terminal.size }
        let stream = try await client.execs.stream(in: session, query)
        // A process that reads stdin would wait for ever for what nobody sends.
        if !stdin { try await stream.closeStdin() }
        let session = session
        let execID = stream.execID
        let interactive = InteractiveStream(
            stream: stream, passesStdin: stdin, isTerminal: isTerminal && isatty(STDIN_FILENO) == 1,
            interruption: .end { if let execID { try await client.execs.kill(execID, in: session) } })
        switch try await interactive.run() {
        case .exited(let code), .interrupted(let code): throw ExitCode(code)
        case .detached: throw ExitCode(ExitStatus.ourError)
        }
    }
}
