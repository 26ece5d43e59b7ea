/// `GET /v1/sessions/{id}/execs`.
public struct ExecListBody: Equatable, Sendable, Codable {
    public var execs: [ExecStateBody]

    public init(execs: [ExecStateBody]) { self.execs = execs }
}
