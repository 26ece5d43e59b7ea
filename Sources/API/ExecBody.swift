import ExecboxModel

/// `POST /v1/sessions/{id}/exec`.
public struct ExecBody: Equatable, Sendable, Encodable {
    public static let maxOutputBytesRange: ClosedRange<Int64> = 0...(16 << 20)

    public var command: [String]
    public var env: [String: String]?
    public var workDir: String?
    public var user: String?
    /// All of stdin, which is closed behind it; nil for none.
    public var stdin: String?
    public var tty: TerminalSize?
    public var timeoutMs: Int64?
    /// Of stdout and stderr each; over it head and tail are kept.
    public var maxOutputBytes: Int64?
    public var id: String?
    public var detach: Bool?

    public init(command: [String]) { self.command = command }

    /// Decodes and validates a request's body.
    public init(json body: some Sequence<UInt8>) throws(ExecboxError) {
        var object = try JSONObjectReader.parse(body)
        command = try object.required("command").command()
        env = try object.optional("env")?.environment()
        workDir = try object.optional("workDir")?.workingDirectory()
        user = try object.optional("user")?.user()
        stdin = try object.optional("stdin")?.string()
        tty = try object.optional("tty")?.terminal()
        timeoutMs = try object.optional("timeoutMs")?.milliseconds(min: 1)
        maxOutputBytes = try object.optional("maxOutputBytes")?.integer(in: Self.maxOutputBytesRange)
        id = try object.optional("id")?.execID()
        detach = try object.optional("detach")?.bool()
        try object.finish()
    }
}
