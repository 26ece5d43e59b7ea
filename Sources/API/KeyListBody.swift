/// `GET /v1/account/keys`: oldest first.
public struct KeyListBody: Equatable, Sendable, Codable {
    public var keys: [KeyBody]

    public init(keys: [KeyBody]) { self.keys = keys }
}
