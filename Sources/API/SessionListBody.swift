/// One page of sessions, newest first.
public struct SessionListBody: Equatable, Sendable, Codable {
    public var sessions: [SessionBody]
    /// Nil on the last page.
    public var nextCursor: String?

    public init(sessions: [SessionBody], nextCursor: String? = nil) {
        self.sessions = sessions
        self.nextCursor = nextCursor
    }
}
