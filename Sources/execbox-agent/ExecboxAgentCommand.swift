import ExecboxAgent
import ExecboxWire

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// `execbox-agent --dial-out DIRECTORY` · `execbox-agent --listen ADDRESS:PORT --secret-sha256 HEX` · `execbox-agent --version`
@main
enum ExecboxAgentCommand {
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments == ["--version"] {
            print("execbox-agent \(Configuration.version)")
            return
        }
        if arguments.first == "files" {
            guard let operation = FileOperation(arguments: arguments) else {
                complain("usage: execbox-agent files is for the server")
                exit(64)
            }
            exit(FileWorker(operation).run())
        }
        guard let configuration = Configuration(arguments: arguments) else {
            complain("usage: execbox-agent --dial-out DIRECTORY | --listen ADDRESS:PORT --secret-sha256 HEX | --version")
            exit(64)
        }
        Agent.prepareProcess()
        do {
            exit(try Agent(configuration).run())
        } catch {
            complain("execbox-agent: \(error)")
            exit(1)
        }
    }

    private static func complain(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = write(2, bytes, bytes.count)
    }
}
