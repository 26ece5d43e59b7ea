/// What `POST /v1/waitlist` answers.
public struct WelcomeBody: Equatable, Sendable, Codable {
    /// The key's.
    public var id: String
    /// Shown once; absent when the request is repeated.
    public var key: String?
    public var tier: String
    public var message: String

    public init(id: String, key: String?, tier: String, message: String) {
        self.id = id
        self.key = key
        self.tier = tier
        self.message = message
    }
}
