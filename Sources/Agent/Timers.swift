/// What has to be done later: a heap by time. Cancelled entries stay in it until they are due or many.
struct Timers {
    struct ID: Hashable {
        fileprivate let number: UInt64
    }

    private struct Entry {
        let due: UInt64
        let id: ID
    }

    private var heap: [Entry] = []
    private var actions: [ID: () -> Void] = [:]
    private var lastNumber: UInt64 = 0

    mutating func schedule(at due: UInt64, _ action: @escaping () -> Void) -> ID {
        lastNumber += 1
        let id = ID(number: lastNumber)
        actions[id] = action
        heap.append(Entry(due: due, id: id))
        siftUp(heap.count - 1)
        return id
    }

    mutating func cancel(_ id: ID?) {
        guard let id, actions.removeValue(forKey: id) != nil else { return }
        if heap.count > 256, heap.count > actions.count * 4 { sweep() }
    }

    /// When the next one is due.
    mutating func nextDue() -> UInt64? {
        while let first = heap.first, actions[first.id] == nil { removeFirst() }
        return heap.first?.due
    }

    /// Takes one action that is due.
    mutating func takeDue(at now: UInt64) -> (() -> Void)? {
        guard let due = nextDue(), due <= now, let first = heap.first else { return nil }
        removeFirst()
        return actions.removeValue(forKey: first.id)
    }

    private mutating func sweep() {
        let live = heap.filter { actions[$0.id] != nil }
        heap = []
        for entry in live {
            heap.append(entry)
            siftUp(heap.count - 1)
        }
    }

    private mutating func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var index = 0
        while true {
            var smallest = index
            for child in [index * 2 + 1, index * 2 + 2] where child < heap.count && heap[child].due < heap[smallest].due {
                smallest = child
            }
            guard smallest != index else { return }
            heap.swapAt(index, smallest)
            index = smallest
        }
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        while index > 0, heap[index].due < heap[(index - 1) / 2].due {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }
}
