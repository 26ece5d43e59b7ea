import ExecboxModel

/// Makes, watches and destroys sandboxes, and nothing else: what happens inside one is the agent's.
///
/// Implementations are safe to call from many tasks. Every call has a deadline of its own and ends in a `BackendError`, never hangs.
package protocol SandboxBackend: Sendable {
    /// `docker`, `fly`; stands in rows and answers.
    var name: String { get }
    /// Proved by probes in `start()`.
    var capabilities: BackendCapabilities { get }
    /// Negotiates versions and proves capabilities. Called once before anything else; again after the engine was away.
    func start() async throws(BackendError)
    /// True while the engine answers; for `/ready`.
    func ping() async throws(BackendError)
    /// What `prepare` would find without pulling; nil if it would have to pull.
    func imageAtHand(_ image: ImageSpec) async throws(BackendError) -> PreparedImage?
    /// Finds or pulls the image. `progress` gets a human line now and then.
    func prepare(_ image: ImageSpec, progress: @Sendable (String) -> Void) async throws(BackendError) -> PreparedImage
    /// What is known of how the agent will be reached before its sandbox is made, so that it need not be waited for then; nil if nothing is.
    func expect(_ sandbox: SandboxID) async throws(BackendError) -> AgentTransport?
    /// Makes and starts the sandbox; a second call with the same `sandboxID` finds the first one's work and finishes it.
    func create(_ spec: SandboxSpec) async throws(BackendError) -> SandboxRef
    /// How this sandbox's agent is reached. Fails with `.gone` in `state` terms when it does not run.
    func connect(_ ref: SandboxRef) async throws(BackendError) -> AgentTransport
    func state(_ ref: SandboxRef) async throws(BackendError) -> SandboxState
    /// The host's side of published ports; empty unless running.
    func ports(_ ref: SandboxRef) async throws(BackendError) -> [PublishedPort]
    /// Bytes in the writable layer; nil where the backend enforces the quota by itself.
    func diskUsage(_ ref: SandboxRef) async throws(BackendError) -> Int64?
    /// Turns the sandbox's file system into an image on top of `base`.
    func commit(_ ref: SandboxRef, as name: String, base: PreparedImage) async throws(BackendError) -> PreparedImage
    /// Idempotent; a sandbox that is gone is success. Takes its own folders away too.
    func destroy(_ ref: SandboxRef) async throws(BackendError)
    /// Every sandbox with our cluster's label, in any state. An empty answer proves nothing.
    func list() async throws(BackendError) -> [SandboxRef]
    /// Hints that a sandbox changed; some may be lost, the reconciler is the truth. Ends when the caller's task is cancelled.
    func events() -> AsyncStream<SandboxEvent>
}
