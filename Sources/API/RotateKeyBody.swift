import ExecboxModel

/// `POST /v1/account/keys/{id}/rotate`; the body may be empty.
public struct RotateKeyBody: Equatable, Sendable, Encodable {
    public static let maxGraceSeconds: Int64 = 30 * 86_400

    /// For how long the old key is taken beside the new one.
    public var graceSeconds: Int64

    private enum CodingKeys: String, CodingKey { case graceSeconds = "grace_seconds" }

    public init(graceSeconds: Int64 = 0) { self.graceSeconds = graceSeconds }

    /// Decodes and validates a request's body.
    public init(json body: some Collection<UInt8>) throws(ExecboxError) {
        graceSeconds = 0
        guard !body.isEmpty else { return }
        var object = try JSONObjectReader.parse(body)
        object.ignore("$schema")
        graceSeconds = try object.optional("grace_seconds")?.integer(in: 0...Self.maxGraceSeconds) ?? 0
        try object.finish()
    }
}
