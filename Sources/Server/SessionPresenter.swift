import ExecboxAPI
import ExecboxCore
import ExecboxModel

/// How this server's sessions look from outside.
package struct SessionPresenter: Sendable {
    /// Where clients reach published ports.
    package var publicHost: String

    package init(publicHost: String) { self.publicHost = publicHost }

    func url(hostPort: UInt16) -> String { "http://\(publicHost):\(hostPort)" }

    func body(_ session: Session) -> SessionBody {
        var body = SessionBody(
            id: session.id.description,
            status: session.status,
            reason: session.reason,
            image: session.image,
            command: session.command,
            env: session.environmentNames,
            workDir: session.workDir,
            user: session.user,
            labels: session.labels,
            resources: ResourcesBody(session.resources),
            backend: session.backend,
            createdAt: session.createdAt
        )
        if let progress = session.progress, !session.status.isTerminal {
            body.progress = ProgressBody(phase: session.status.rawValue, detail: progress)
        }
        body.startedAt = session.startedAt
        body.endedAt = session.endedAt
        body.expiresAt = session.status.isTerminal ? nil : session.expiresAt
        body.exitCode = session.exitCode
        body.signal = session.signal
        body.error = session.error
        body.network = network(session)
        body.usage = session.usage.map { usage in
            UsageBody(
                durationMs: usage.durationMs,
                cpuMs: usage.cpuMs,
                memoryPeakMB: Int64(usage.memoryPeakMB),
                oomKills: Int64(usage.oomKills),
                stdoutBytes: usage.stdoutBytes,
                stderrBytes: usage.stderrBytes,
                costMicros: usage.costMicros
            )
        }
        return body
    }

    private func network(_ session: Session) -> NetworkBody {
        var ports: [String: NetworkBody.Port] = [:]
        for port in session.ports {
            guard let hostPort = port.hostPort else { continue }
            ports["\(port.spec.container)"] = NetworkBody.Port(hostPort: hostPort, url: url(hostPort: hostPort))
        }
        return NetworkBody(
            mode: session.network,
            host: ports.isEmpty ? nil : publicHost,
            ports: session.network == .exposed ? ports : nil
        )
    }
}
