/// A page of a list under `/v1/admin`.
public struct PageBody<Item: Equatable & Sendable & Codable>: Equatable, Sendable, Codable {
    public var items: [Item]
    public var nextCursor: String?

    private enum CodingKeys: String, CodingKey {
        case items
        case nextCursor = "next_cursor"
    }

    public init(items: [Item], nextCursor: String? = nil) {
        self.items = items
        self.nextCursor = nextCursor
    }
}
