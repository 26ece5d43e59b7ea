import ArgumentParser
import ExecboxModel
import ExecboxPostgres

/// Runs a command; whatever it throws becomes one line on standard error and exit code 1.
func reporting(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let error as ExitCode {
        throw error
    } catch {
        let text =
            switch error {
            case let error as ExecboxError: error.privateDetail.map { "\(error.message) (\($0))" } ?? error.message
            case let error as PostgresError: error.debugDescription
            default: "\(error)"
            }
        LogOutput.standardError.write(Array("execboxd: \(text)\n".utf8), isUrgent: true)
        throw ExitCode.failure
    }
}
