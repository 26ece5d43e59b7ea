/// What clients have sent for a process's stdin and the process has not taken yet, in the order of arrival.
struct StdinQueue {
    private struct Entry {
        /// Empty for an end of input.
        let bytes: ArraySlice<UInt8>
        let sender: ObjectIdentifier
    }

    /// What is to be done with the front of the queue.
    enum Front {
        case nothing
        case bytes(ArraySlice<UInt8>)
        case endOfInput
    }

    private var entries: [Entry] = []
    private var first = 0
    private var offset = 0
    private(set) var byteCount = 0

    var isEmpty: Bool { first == entries.count }

    mutating func append(_ bytes: ArraySlice<UInt8>, from sender: ObjectIdentifier) {
        guard !bytes.isEmpty else { return }
        // A copy: a slice would keep the whole of the sender's receive buffer.
        entries.append(Entry(bytes: ArraySlice(Array(bytes)), sender: sender))
        byteCount += bytes.count
    }

    mutating func appendEnd(from sender: ObjectIdentifier) {
        entries.append(Entry(bytes: [], sender: sender))
    }

    var front: Front {
        guard first < entries.count else { return .nothing }
        let entry = entries[first]
        return entry.bytes.isEmpty ? .endOfInput : .bytes(entry.bytes.dropFirst(offset))
    }

    /// `count` bytes of the front have been written, or its end of input was passed on (0).
    ///
    /// - Returns: who sent it.
    mutating func consume(_ count: Int) -> ObjectIdentifier {
        let entry = entries[first]
        offset += count
        byteCount -= count
        if offset == entry.bytes.count {
            first += 1
            offset = 0
            if first == entries.count {
                entries.removeAll(keepingCapacity: entries.count < 64)
                first = 0
            } else if first > 64 {
                entries.removeSubrange(..<first)
                first = 0
            }
        }
        return entry.sender
    }
}
