/// The first and the last bytes of a stream of any length, in bounded memory: half of the limit each.
package struct HeadAndTail: Sendable {
    private let headLimit: Int
    private let tailLimit: Int
    private var head: [UInt8] = []
    /// At most twice the tail's limit, cut back when it is full.
    private var tail: [UInt8] = []
    /// All bytes that came.
    package private(set) var total: Int64 = 0

    package init(limit: Int) {
        headLimit = limit - limit / 2
        tailLimit = limit / 2
    }

    package mutating func append(_ bytes: some Collection<UInt8>) {
        total += Int64(bytes.count)
        let space = min(headLimit - head.count, bytes.count)
        head.append(contentsOf: bytes.prefix(space))
        guard tailLimit > 0 else { return }
        tail.append(contentsOf: bytes.dropFirst(space).suffix(tailLimit))
        if tail.count > 2 * tailLimit { tail.removeFirst(tail.count - tailLimit) }
    }

    package var isTruncated: Bool { Int64(head.count + min(tail.count, tailLimit)) < total }

    /// Head and tail, with a line between them that says how much is missing where something is.
    package var bytes: [UInt8] {
        let kept = Array(tail.suffix(tailLimit))
        guard isTruncated else { return head + kept }
        return head + Array("\n[\(total - Int64(head.count + kept.count)) bytes left out]\n".utf8) + kept
    }
}
