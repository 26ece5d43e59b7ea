import ExecboxModel
import ExecboxWire

extension FileFailure {
    /// As a caller understands it: what is wrong is the path, unless it is not.
    var domainError: ExecboxError {
        switch code {
        case .notFound: ExecboxError(.notFound, message, details: ["field": .text("path")])
        case .notDirectory, .isDirectory, .invalidPath, .crossDevice: .invalid("path", message)
        case .exists, .notEmpty, .failed: ExecboxError(.conflict, message, details: ["field": .text("path")])
        case .denied, .readOnly: ExecboxError(.forbidden, message, details: ["field": .text("path")])
        case .noSpace, .tooLarge: ExecboxError(.tooLarge, message, details: ["field": .text("path")])
        case .incomplete: .invalid("body", message)
        }
    }
}
