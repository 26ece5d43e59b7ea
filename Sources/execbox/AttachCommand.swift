import ArgumentParser
import ExecboxAPI
import ExecboxClient

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// `execbox attach SESSION`.
struct AttachCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach",
        abstract: "Joins a session's command: everything it wrote, then live, until it ends.",
        discussion: "Leaving (a second ^C, SIGTERM) does nothing to the command.")

    @OptionGroup var server: ServerOptions
    @Option(help: "Begin behind so many bytes of output.")
    var offset: UInt64?
    @Flag(help: "Never slow the command down; what we are too slow for is left out.")
    var live = false
    @Flag(inversion: .prefixedNo, help: "Pass our stdin on.")
    var stdin = true
    @Flag(name: .shortAndLong, help: "The command has a terminal: use ours for it.")
    var tty = false
    @Argument(help: "The session's id.")
    var session: String

    func run() async throws {
        let client = try server.client()
        let stream = try await client.sessions.attach(session, offset: offset, flow: live ? .live : .lossless, stdin: stdin)
        let interactive = InteractiveStream(
            stream: stream, passesStdin: stdin, isTerminal: tty && isatty(STDIN_FILENO) == 1, interruption: .detach)
        switch try await interactive.run() {
        case .exited(let code), .interrupted(let code): throw ExitCode(code)
        case .detached: return
        }
    }
}
