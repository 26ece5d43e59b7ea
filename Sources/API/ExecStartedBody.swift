/// The answer to a detached exec.
public struct ExecStartedBody: Equatable, Sendable, Codable {
    public var id: String

    public init(id: String) { self.id = id }
}
