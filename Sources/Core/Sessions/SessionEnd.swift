import ExecboxModel
import ExecboxWire

/// How a session ended: what the terminal transition writes.
package struct SessionEnd: Equatable, Sendable {
    package var reason: EndReason
    /// Names the limit that was hit, or the registry's, engine's or agent's own words.
    package var error: String?
    package var exitCode: Int32?
    package var signal: String?
    /// What main reported; nil when it never ran or its sandbox was lost.
    package var report: ExitReport?

    package init(reason: EndReason, error: String? = nil, exitCode: Int32? = nil, signal: String? = nil, report: ExitReport? = nil) {
        self.reason = reason
        self.error = error
        self.exitCode = exitCode
        self.signal = signal
        self.report = report
    }
}
