import ExecboxModel
import ExecboxSandbox

/// A session as its row has it.
package struct Session: Equatable, Sendable {
    package struct Terminal: Equatable, Sendable {
        package var columns: UInt16
        package var rows: UInt16
        package init(columns: UInt16, rows: UInt16) {
            self.columns = columns
            self.rows = rows
        }
    }

    /// What an ended session used.
    package struct Usage: Equatable, Sendable {
        package var durationMs: Int64
        package var cpuMs: Int64
        package var memoryPeakMB: Int
        package var oomKills: Int
        package var stdoutBytes: Int64
        package var stderrBytes: Int64
        package var costMicros: Int64
    }

    package struct Port: Equatable, Sendable {
        package var spec: PortSpec
        package var hostPort: UInt16?
        package init(spec: PortSpec, hostPort: UInt16? = nil) {
            self.spec = spec
            self.hostPort = hostPort
        }
    }

    package var id: SessionID
    package var accountID: AccountID
    package var sandboxID: SandboxID
    package var backend: String
    package var node: String
    package var status: SessionStatus
    package var reason: EndReason?
    package var error: String?
    package var progress: String?
    package var image: String
    package var pull: String
    package var imageDigest: String?
    package var stopSignal: String?
    package var command: [String]
    package var environmentNames: [String]
    package var workDir: String
    package var user: String
    package var labels: [String: String]
    package var resources: Resources
    package var network: NetworkMode
    package var ports: [Port]
    package var terminal: Terminal?
    package var opensStdin: Bool
    package var createdAt: Timestamp
    package var startedAt: Timestamp?
    package var endedAt: Timestamp?
    package var expiresAt: Timestamp?
    package var lastActiveAt: Timestamp
    package var intent: StopIntent?
    package var intentError: String?
    package var stopGraceMs: Int64?
    package var stopSignaledAt: Timestamp?
    package var exitCode: Int32?
    package var signal: String?
    package var usage: Usage?

    package var lifecycle: SessionLifecycle {
        SessionLifecycle(status: status, intent: intent, intentError: intentError, isStopSignaled: stopSignaledAt != nil)
    }

    /// Fills in what the caller left to the image.
    ///
    /// - Returns: false if neither names a command.
    package mutating func settle(on image: PreparedImage) -> Bool {
        imageDigest = image.digest
        if command.isEmpty { command = image.entrypoint + image.command }
        if workDir.isEmpty { workDir = image.workingDirectory.isEmpty ? "/" : image.workingDirectory }
        if user.isEmpty { user = image.user }
        stopSignal = image.stopSignal.isEmpty ? "SIGTERM" : image.stopSignal
        return !command.isEmpty
    }
}
