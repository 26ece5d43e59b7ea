/// An exec as `GET …/execs/{execId}` shows it.
public struct ExecStateBody: Equatable, Sendable, Codable {
    public enum State: String, Sendable, Codable, CaseIterable { case running, ended }

    public var id: String
    public var state: State
    public var exitCode: Int32?
    public var signal: String?
    /// As in `ExecResultBody`; nil while it runs.
    public var reason: String?
    public var stdoutBytes: Int64
    public var stderrBytes: Int64
    /// So far, or from start to end.
    public var durationMs: Int64

    public init(
        id: String, state: State, exitCode: Int32? = nil, signal: String? = nil, reason: String? = nil, stdoutBytes: Int64,
        stderrBytes: Int64, durationMs: Int64
    ) {
        self.id = id
        self.state = state
        self.exitCode = exitCode
        self.signal = signal
        self.reason = reason
        self.stdoutBytes = stdoutBytes
        self.stderrBytes = stderrBytes
        self.durationMs = durationMs
    }
}
