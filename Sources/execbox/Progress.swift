import ExecboxAPI
import ExecboxClient
import ExecboxModel

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// One line on a terminal about a session that does not run yet.
struct Progress: Sendable {
    let client: ExecboxClient
    let sessionID: String

    /// Returns when the session runs or has ended; says nothing where nobody looks.
    func show() async {
        guard isatty(STDERR_FILENO) == 1 else { return }
        var isShown = false
        while !Task.isCancelled, let session = try? await client.sessions.get(sessionID) {
            guard [.pending, .building, .starting].contains(session.status) else { break }
            isShown = true
            StandardError.write("\r\u{1B}[K\(line(session))")
            guard (try? await Task.sleep(for: .milliseconds(400))) != nil else { break }
        }
        if isShown { StandardError.write("\r\u{1B}[K") }
    }

    private func line(_ session: SessionBody) -> String {
        guard let progress = session.progress else { return "\(session.status.rawValue) …" }
        var text = progress.phase
        if let detail = progress.detail { text += " \(detail)" }
        if let current = progress.currentBytes {
            text += " \(current >> 20)"
            if let total = progress.totalBytes { text += " of \(total >> 20)" }
            text += " MB"
        }
        return String(text.prefix(78).filter { !$0.isNewline && $0 != "\u{1B}" })
    }
}
