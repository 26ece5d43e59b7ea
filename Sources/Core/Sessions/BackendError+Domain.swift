import ExecboxModel
import ExecboxSandbox

extension BackendError {
    /// What a caller is told; the engine's own words go to the log where they could hold internals.
    var domainError: ExecboxError {
        switch self {
        case .imageNotFound(let text), .imageRejected(let text): .invalid("image", text)
        case .noCapacity(let text): ExecboxError(.unavailable, "no capacity: \(text)", retryAfter: 5)
        case .rateLimited(let seconds): ExecboxError(.unavailable, "the backend limits requests, try again later", retryAfter: seconds)
        case .unavailable(let text): .unavailable("the sandbox backend", detail: text)
        case .invalidSpec(let text): ExecboxError(.invalidArgument, text)
        case .notSupported(let text): ExecboxError(.notImplemented, text)
        case .notFound(let text): ExecboxError(.conflict, "the sandbox is gone", privateDetail: text)
        case .internal(let text): ExecboxError(.internal, "internal error", privateDetail: text)
        }
    }

    /// The sentence that stands in the session's `error`.
    var sentence: String {
        switch self {
        case .imageNotFound(let text), .imageRejected(let text), .noCapacity(let text), .unavailable(let text), .invalidSpec(let text),
            .notSupported(let text), .notFound(let text), .internal(let text):
            text
        case .rateLimited: "the backend limits requests"
        }
    }
}
