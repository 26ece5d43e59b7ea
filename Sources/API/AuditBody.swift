import ExecboxModel

/// `GET /v1/account/audit`: newest first.
public struct AuditBody: Equatable, Sendable, Codable {
    public struct Entry: Equatable, Sendable, Codable {
        public struct Change: Equatable, Sendable, Codable {
            public var old: String?
            public var new: String?

            public init(old: String?, new: String?) {
                self.old = old
                self.new = new
            }
        }

        public var id: Int64
        public var at: Timestamp
        /// `key:<key id>`, `operator:<user>` or `system`.
        public var actor: String
        /// `key.created`, `account.limits_updated` …
        public var action: String
        /// The key or the account that was changed.
        public var target: String
        /// By field name.
        public var changes: [String: Change]

        public init(id: Int64, at: Timestamp, actor: String, action: String, target: String, changes: [String: Change]) {
            self.id = id
            self.at = at
            self.actor = actor
            self.action = action
            self.target = target
            self.changes = changes
        }
    }

    public var entries: [Entry]
    public var nextCursor: String?

    private enum CodingKeys: String, CodingKey {
        case entries
        case nextCursor = "next_cursor"
    }

    public init(entries: [Entry], nextCursor: String?) {
        self.entries = entries
        self.nextCursor = nextCursor
    }
}
