import ArgumentParser
import ExecboxAPI
import ExecboxClient

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// `execbox logs SESSION`.
struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "logs", abstract: "Prints what a session's command wrote.")

    @OptionGroup var server: ServerOptions
    @Flag(name: .shortAndLong, help: "Stay until the session ends.")
    var follow = false
    @Option(help: "stdout, stderr or both.")
    var stream = LogsQuery.Stream.both
    @Option(help: "Begin at this byte of stdout and stderr together.")
    var offset: UInt64?
    @Argument(help: "The session's id.")
    var session: String

    func run() async throws {
        var query = LogsQuery()
        query.stream = stream
        query.offset = offset
        query.follow = follow
        let output = StandardOutput()
        do {
            for try await bytes in try await server.client().sessions.logStream(session, query) {
                try await output.write(bytes, to: STDOUT_FILENO)
            }
        } catch is StandardOutput.Closed {
            throw ExitCode(128 + SIGPIPE)
        }
    }
}

extension LogsQuery.Stream: ExpressibleByArgument {}
