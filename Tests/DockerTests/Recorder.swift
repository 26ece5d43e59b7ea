import Synchronization

/// Keeps what several tasks report.
final class Recorder<Element: Sendable>: Sendable {
    private let kept = Mutex<[Element]>([])

    var elements: [Element] { kept.withLock { $0 } }

    func record(_ element: Element) { kept.withLock { $0.append(element) } }

    func clear() { kept.withLock { $0 = [] } }
}
