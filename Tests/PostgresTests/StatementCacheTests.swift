import Testing

@testable import ExecboxPostgres

@Suite("The statement cache") struct StatementCacheTests {
    private func key(_ text: String, _ types: [UInt32] = []) -> StatementCache.Key { StatementCache.Key(text: text, types: types) }

    @Test("gives the name back that a statement was stored under")
    func remembers() {
        var cache = StatementCache()
        let name = cache.newName()
        #expect(cache.insert(self.key("a"), name: name) == nil)
        #expect(cache.name(of: self.key("a")) == "s1")
        #expect(cache.name(of: self.key("b")) == nil)
    }

    @Test("takes the same text with other types for another statement")
    func types() {
        var cache = StatementCache()
        _ = cache.insert(self.key("a", [20]), name: cache.newName())
        #expect(cache.name(of: self.key("a", [23])) == nil)
    }

    @Test("lets the least recently used statement go when it is full")
    func evicts() {
        var cache = StatementCache(capacity: 2)
        _ = cache.insert(self.key("a"), name: cache.newName())
        _ = cache.insert(self.key("b"), name: cache.newName())
        _ = cache.name(of: self.key("a"))
        #expect(cache.insert(self.key("c"), name: cache.newName()) == "s2")
        #expect(cache.name(of: self.key("a")) == "s1")
        #expect(cache.name(of: self.key("b")) == nil)
        #expect(cache.count == 2)
    }

    @Test("never gives a name twice")
    func names() {
        var cache = StatementCache()
        _ = cache.insert(self.key("a"), name: cache.newName())
        cache.remove(self.key("a"))
        #expect(cache.newName() == "s2")
    }
}
