import ExecboxModel

/// `POST /v1/account/webhooks`, which needs `url` and `events`, and `PATCH /v1/account/webhooks/{id}`: what is absent stays.
public struct ChangeWebhookBody: Equatable, Sendable {
    public enum Event: String, CaseIterable, Sendable {
        case sessionEnded = "session.ended"
        case quotaThreshold = "quota.threshold"
        case keyCreated = "key.created"
        case keyUpdated = "key.updated"
        case keyRotated = "key.rotated"
        case keyDeleted = "key.deleted"
    }

    public var url: String?
    public var events: [Event]?
    public var isActive: Bool?

    /// Decodes and validates a request's body. `key.*` in `events` stands for every `key.` event.
    public init(json body: some Sequence<UInt8>, isNew: Bool) throws(ExecboxError) {
        var object = try JSONObjectReader.parse(body)
        url = isNew ? try object.required("url").httpsURL() : try object.optional("url")?.httpsURL()
        events = isNew ? try Self.events(object.required("events")) : try object.optional("events").map(Self.events)
        if !isNew { isActive = try object.optional("is_active")?.bool() }
        try object.finish()
    }

    private static func events(_ reader: JSONReader) throws(ExecboxError) -> [Event] {
        var events: [Event] = []
        for reader in try reader.list(max: 20) {
            if (try? reader.string()) == "key.*" {
                events += Event.allCases.filter { $0.rawValue.hasPrefix("key.") }
            } else {
                events.append(try reader.choice(Event.self))
            }
        }
        guard !events.isEmpty else { throw reader.invalid("must not be empty") }
        return events
    }
}
