import ArgumentParser
import ExecboxAPI
import ExecboxClient
import ExecboxModel

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// `execbox run IMAGE -- COMMAND…`.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Starts a session and stays with it until its command ends.",
        discussion: """
            Output goes where the command wrote it, stdin is passed on, ^C is passed on as SIGINT (a second one ends the session). On a \
            terminal the command gets one too. A lost connection is resumed without losing output.

            Example: execbox run --memory 256m python:3.12 -- python -c 'print(1)'
            """)

    @OptionGroup var server: ServerOptions

    @Option(name: .shortAndLong, help: "KEY=VALUE, or KEY to take ours. May repeat.")
    var env: [PairArgument] = []
    @Option(name: .shortAndLong, help: "Working directory; made if missing.")
    var workdir: String?
    @Option(name: .shortAndLong, help: "User: name or number, optionally with :group.")
    var user: String?
    @Option(name: .shortAndLong, help: "Memory, such as 256m or 1g.")
    var memory: MemoryArgument?
    @Option(help: "CPUs, such as 0.5.")
    var cpu: CPUArgument?
    @Option(help: "Time the session may run, such as 30s or 5m.")
    var timeout: DurationArgument?
    @Option(help: "End the session after so long without any activity.")
    var idleTimeout: DurationArgument?
    @Option(help: "none, outgoing or exposed (default: the server's).")
    var network: NetworkMode?
    @Option(name: .shortAndLong, help: "Port to expose, such as 8080 or 53/udp; implies --network exposed. May repeat.")
    var port: [String] = []
    @Option(name: .shortAndLong, help: "KEY=VALUE. May repeat.")
    var label: [PairArgument] = []
    @Flag(name: .shortAndLong, inversion: .prefixedNo, help: "Give the command a terminal (default: if we are on one).")
    var tty: Bool?
    @Flag(inversion: .prefixedNo, help: "Pass our stdin on.")
    var stdin = true
    @Flag(name: .shortAndLong, help: "Print the session's id and leave it running.")
    var detach = false
    @Option(help: "missing or always: when the registry is asked for the image.")
    var pull: CreateSessionBody.Pull?
    @Option(help: "Backend, where the server has several.")
    var backend: String?
    @Flag(help: "With --detach: print the whole session object.")
    var json = false

    @Argument(help: "The image, such as alpine:3.20.")
    var image: String
    @Argument(parsing: .captureForPassthrough, help: "Command and arguments (default: the image's own).")
    var command: [String] = []

    func run() async throws {
        let client = try server.client()
        let isTerminal = !detach && (tty ?? (stdin && Terminal.isInteractive))
        // The stream is opened while the sandbox is being made: it waits for main by itself.
        let session = try await client.sessions.create(try body(isTerminal: isTerminal), waitSeconds: detach ? nil : 0)
        if session.status == .failed { throw ended(session) }
        if detach {
            try await StandardOutput().write(json ? try JSONText.pretty(session) : "\(session.id)\n")
            return
        }
        let progress = Task { await Progress(client: client, sessionID: session.id).show() }
        defer { progress.cancel() }
        let stream = try await client.sessions.attach(session.id, stdin: stdin)
        let interactive = InteractiveStream(
            stream: stream, passesStdin: stdin, isTerminal: isTerminal && isatty(STDIN_FILENO) == 1,
            interruption: .end { _ = try await client.sessions.kill(session.id) }, isEndToldByCaller: true,
            begins: {
                progress.cancel()
                await progress.value
            })
        do {
            switch try await interactive.run() {
            case .exited(let code), .interrupted(let code): throw ExitCode(code)
            case .detached: throw ended(try await client.sessions.get(session.id))
            }
        } catch let error as ExecboxClientError where error.code == .conflict {
            throw ended(try await client.sessions.get(session.id))
        }
    }

    /// For a session that has no exit code to pass on.
    private func ended(_ session: SessionBody) -> ExitCode {
        if let code = session.exitCode { return ExitCode(code) }
        StandardError.say(
            "execbox: \(session.id) \(session.status.rawValue): \(session.error ?? session.reason?.rawValue ?? "no reason given")")
        return ExitCode(ExitStatus.withoutExitCode(session))
    }

    private func body(isTerminal: Bool) throws -> CreateSessionBody {
        var body = CreateSessionBody(image: image)
        let arguments = try CommandArguments.checked(command, before: "the image")
        if !arguments.isEmpty { body.command = arguments }
        var variables: [String: String] = [:]
        if isTerminal, let term = getenv("TERM") { variables["TERM"] = String(cString: term) }
        for pair in env {
            if let value = pair.value ?? getenv(pair.key).map({ String(cString: $0) }) { variables[pair.key] = value }
        }
        if !variables.isEmpty { body.env = variables }
        body.workDir = workdir
        body.user = user
        var resources = RequestedResources()
        resources.memoryMB = memory?.megabytes
        resources.cpuMillis = cpu?.millis
        resources.timeoutMs = timeout?.milliseconds
        resources.idleTimeoutMs = idleTimeout?.milliseconds
        if resources != RequestedResources() { body.resources = resources }
        body.network = network
        if !port.isEmpty {
            body.ports = try port.map(Self.port)
            if network == nil { body.network = .exposed }
        }
        if isTerminal { body.tty = Terminal.size }
        if !stdin || detach { body.stdin = false }
        if !label.isEmpty { body.labels = Dictionary(label.map { ($0.key, $0.value ?? "") }) { $1 } }
        body.pull = pull
        body.backend = backend
        return body
    }

    private static func port(_ text: String) throws -> PortSpec {
        let parts = text.split(separator: "/", maxSplits: 1)
        guard let number = parts.first.flatMap({ UInt16($0) }), number > 0 else { throw ValidationError("\(text) is no port") }
        guard parts.count > 1 else { return PortSpec(container: number, transport: .tcp) }
        guard let transport = PortSpec.Transport(rawValue: parts[1].lowercased()) else { throw ValidationError("\(text) is no port") }
        return PortSpec(container: number, transport: transport)
    }
}

extension NetworkMode: ExpressibleByArgument {}
extension CreateSessionBody.Pull: ExpressibleByArgument {}
