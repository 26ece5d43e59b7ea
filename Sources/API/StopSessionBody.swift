import ExecboxModel

/// `POST /v1/sessions/{id}/stop`.
public struct StopSessionBody: Equatable, Sendable, Encodable {
    public static let defaultGraceMs: Int64 = 10_000

    /// Between the stop signal and SIGKILL.
    public var graceMs: Int64

    public init(graceMs: Int64 = Self.defaultGraceMs) { self.graceMs = graceMs }

    /// Decodes and validates a request's body, which may be missing.
    public init(json body: some Collection<UInt8>) throws(ExecboxError) {
        guard !body.isEmpty else {
            graceMs = Self.defaultGraceMs
            return
        }
        var object = try JSONObjectReader.parse(body)
        graceMs = try object.optional("graceMs")?.integer(in: 0...60_000) ?? Self.defaultGraceMs
        try object.finish()
    }
}
