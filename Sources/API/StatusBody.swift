/// `{"status": …}`: the answer to stop, kill and health.
public struct StatusBody: Equatable, Sendable, Codable {
    public var status: String

    public init(status: String) { self.status = status }
}
