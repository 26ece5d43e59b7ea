import ExecboxSandbox

/// The engine answered, and the answer was no.
struct DockerFailure: Error, Equatable {
    let status: Int
    /// The engine's own words.
    let message: String

    /// The general meaning, for calls that know nothing better.
    var backendError: BackendError {
        if isOutOfSpace { return .noCapacity("the Docker host is full: \(message)") }
        return switch status {
        case 400: .invalidSpec(message)
        case 404: .notFound(message)
        case 501: .notSupported(message)
        case 503: .unavailable("Docker: \(message)")
        default: .internal("Docker answered \(status): \(message)")
        }
    }

    var isOutOfSpace: Bool { message.contains("no space left on device") || message.contains("cannot allocate memory") }
}
