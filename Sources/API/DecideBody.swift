import ExecboxModel

/// `PATCH /v1/admin/quota-requests/{id}`.
public struct DecideBody: Equatable, Sendable {
    public enum Status: String, CaseIterable, Sendable {
        case pending, approved, declined
    }

    public var status: Status

    /// Decodes and validates a request's body.
    public init(json body: some Sequence<UInt8>) throws(ExecboxError) {
        var object = try JSONObjectReader.parse(body)
        status = try object.required("status").choice(Status.self)
        try object.finish()
    }
}
