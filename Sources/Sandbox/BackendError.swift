/// What a backend's failure means for the caller. Texts may be shown to the session's owner.
package enum BackendError: Error, Equatable, Sendable {
    /// No such image; the registry's or the engine's own words.
    case imageNotFound(String)
    /// The image cannot be used: wrong architecture, broken manifest, access denied.
    case imageRejected(String)
    case noCapacity(String)
    case rateLimited(retryAfterSeconds: Int)
    /// The engine does not answer.
    case unavailable(String)
    case invalidSpec(String)
    case notSupported(String)
    case notFound(String)
    case `internal`(String)
}
