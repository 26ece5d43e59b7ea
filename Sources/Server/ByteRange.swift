/// One range of a `Range` header field (RFC 9110 §14.1.2).
struct ByteRange: Equatable, Sendable {
    /// Nil for a suffix: the last `last` bytes.
    var first: UInt64?
    var last: UInt64?

    static let whole = ByteRange(first: 0, last: nil)

    /// Nil for other units, several ranges and what is none: the field is to be ignored then.
    init?(_ text: String) {
        guard text.hasPrefix("bytes=") else { return nil }
        let parts = text.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }) else { return nil }
        if parts[0].isEmpty {
            guard let length = UInt64(parts[1]) else { return nil }
            self.init(first: nil, last: length)
        } else {
            guard let first = UInt64(parts[0]) else { return nil }
            let last = UInt64(parts[1])
            guard last != nil || parts[1].isEmpty, first <= last ?? .max else { return nil }
            self.init(first: first, last: last)
        }
    }

    init(first: UInt64?, last: UInt64?) {
        self.first = first
        self.last = last
    }
}
