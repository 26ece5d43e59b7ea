/// Where a caller stands with the limit that is nearest to its end: the `RateLimit-*` header fields.
package struct RateStatus: Hashable, Sendable {
    package var limit: Int
    package var remaining: Int
    /// Until the bucket is full again, rounded up.
    package var resetSeconds: Int

    init(limit: Int, remaining: Int, resetSeconds: Int) {
        self.limit = limit
        self.remaining = remaining
        self.resetSeconds = resetSeconds
    }

    init(_ limit: RateLimit, tokens: Double) {
        let left = min(max(0, tokens), Double(limit.capacity))
        self.limit = limit.capacity
        remaining = Int(left)
        resetSeconds = Int(((Double(limit.capacity) - left) / limit.rate).rounded(.up))
    }
}
