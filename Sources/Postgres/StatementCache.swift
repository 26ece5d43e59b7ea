/// Which statements a connection has prepared, and under which names. Pure: it talks to no server.
///
/// Names are counted, not made of the text: the server keeps only 63 bytes of a name.
struct StatementCache: Sendable {
    /// The same text with other parameter types is another statement.
    struct Key: Hashable, Sendable {
        let text: String
        let types: [UInt32]
    }

    private struct Entry {
        let name: String
        var lastUse: Int
    }

    let capacity: Int
    private var entries: [Key: Entry] = [:]
    private var uses = 0
    private var created = 0

    init(capacity: Int = 256) {
        self.capacity = capacity
    }

    var count: Int { self.entries.count }

    /// The statement's name, if it is prepared; counts as a use.
    mutating func name(of key: Key) -> String? {
        guard self.entries[key] != nil else { return nil }
        self.uses += 1
        self.entries[key]?.lastUse = self.uses
        return self.entries[key]?.name
    }

    /// A name never used before on this connection.
    mutating func newName() -> String {
        self.created += 1
        return "s\(self.created)"
    }

    /// Remembers a prepared statement; returns the name of the least recently used one if that one has to go.
    mutating func insert(_ key: Key, name: String) -> String? {
        var evicted: String?
        if self.entries.count >= self.capacity, let oldest = self.entries.min(by: { $0.value.lastUse < $1.value.lastUse }) {
            self.entries[oldest.key] = nil
            evicted = oldest.value.name
        }
        self.uses += 1
        self.entries[key] = Entry(name: name, lastUse: self.uses)
        return evicted
    }

    mutating func remove(_ key: Key) {
        self.entries[key] = nil
    }
}
