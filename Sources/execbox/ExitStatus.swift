import ExecboxAPI
import ExecboxModel

/// Exit codes that are not the remote command's, as docker has them.
enum ExitStatus {
    static let ourError: Int32 = 125
    static let notExecutable: Int32 = 126
    static let notFound: Int32 = 127

    /// For a session that ended without an exit code.
    static func withoutExitCode(_ session: SessionBody) -> Int32 {
        guard session.reason == .startFailed, let error = session.error?.lowercased() else { return ourError }
        if error.contains("not executable") || error.contains("permission denied") { return notExecutable }
        return error.contains("not found") || error.contains("no such file") ? notFound : ourError
    }
}
