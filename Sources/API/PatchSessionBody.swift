import ExecboxModel

/// `PATCH /v1/sessions/{id}`.
public struct PatchSessionBody: Equatable, Sendable, Encodable {
    /// From now; the service holds it against the tier.
    public var timeoutMs: Int64?
    /// Replaces all labels.
    public var labels: [String: String]?

    public init(timeoutMs: Int64? = nil, labels: [String: String]? = nil) {
        self.timeoutMs = timeoutMs
        self.labels = labels
    }

    /// Decodes and validates a request's body.
    public init(json body: some Sequence<UInt8>) throws(ExecboxError) {
        var object = try JSONObjectReader.parse(body)
        timeoutMs = try object.optional("timeoutMs")?.milliseconds(min: 1000)
        labels = try object.optional("labels")?.labels()
        try object.finish()
    }
}
