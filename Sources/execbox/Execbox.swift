import ArgumentParser
import ExecboxClient

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// `execbox`: sessions from the command line.
@main
struct Execbox: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "execbox",
        abstract: "Runs commands in throw-away sandboxes.",
        discussion: """
            The server's address is EXECBOX_URL or --url, the key is EXECBOX_API_KEY.

            Commands that run something exit with its exit code (128 + n after signal n); 125 is an error of execbox itself, 126 a command \
            that is not executable, 127 one that was not found.
            """,
        version: "execbox 0.1.0",
        subcommands: [
            RunCommand.self, AttachCommand.self, ExecCommand.self, ListCommand.self, InspectCommand.self, LogsCommand.self,
            StopCommand.self,
            KillCommand.self,
        ])

    static func main() async {
        // A reader that has gone away is an error of `write`, not our end.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let code as ExitCode {
            finish(code.rawValue)
        } catch let error as ExecboxClientError {
            fail("\(error)")
        } catch is CancellationError {
            finish(ExitStatus.ourError)
        } catch  where exitCode(for: error).isSuccess {
            // --help and --version
            exit(withError: error)
        } catch {
            fail(message(for: error))
        }
        finish(0)
    }

    private static func fail(_ message: String) -> Never {
        Terminal.restoreAll()
        StandardError.say("execbox: " + message.split(whereSeparator: \.isNewline).joined(separator: " "))
        finish(ExitStatus.ourError)
    }

    private static func finish(_ status: Int32) -> Never {
        Terminal.restoreAll()
        fflush(nil)
        Platform.exit(status)
    }
}
