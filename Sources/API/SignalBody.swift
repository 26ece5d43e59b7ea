import ExecboxModel

/// `POST /v1/sessions/{id}/execs/{execId}/signal`.
public struct SignalBody: Equatable, Sendable, Encodable {
    /// The signals that may be sent, by the names they are given everywhere.
    public static let names: Set<String> = [
        "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2",
        "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU",
        "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS",
    ]

    /// With its `SIG`, upper case.
    public var signal: String

    public init(signal: String) { self.signal = signal }

    /// Decodes and validates a request's body; `TERM` and `sigterm` mean `SIGTERM`.
    public init(json body: some Sequence<UInt8>) throws(ExecboxError) {
        var object = try JSONObjectReader.parse(body)
        let reader = try object.required("signal")
        guard let name = Self.canonical(try reader.string()) else { throw reader.invalid("is no signal, such as SIGTERM") }
        signal = name
        try object.finish()
    }

    /// The canonical name, or nil if there is no such signal.
    public static func canonical(_ name: String) -> String? {
        guard name.utf8.count <= 16 else { return nil }
        let upper = name.uppercased()
        let full = upper.hasPrefix("SIG") ? upper : "SIG\(upper)"
        return names.contains(full) ? full : nil
    }
}
