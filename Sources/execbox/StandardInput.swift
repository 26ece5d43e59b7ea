import Dispatch
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// stdin, read on a thread of its own and only when asked, so nothing is taken that nobody wants and nothing piles up.
final class StandardInput: Sendable {
    private let queue = DispatchQueue(label: "execbox.stdin")
    private let waiter = Mutex<CheckedContinuation<[UInt8]?, Never>?>(nil)

    /// The next bytes; nil at the end, or when the task is cancelled (what arrives then is lost). For one task.
    func read() async -> [UInt8]? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<[UInt8]?, Never>) in
                let isCancelled = waiter.withLock { waiter in
                    // Asked once: between two answers `onCancel` could resume it too.
                    let isCancelled = Task.isCancelled
                    if !isCancelled { waiter = continuation }
                    return isCancelled
                }
                guard !isCancelled else { return continuation.resume(returning: nil) }
                queue.async { self.resume(returning: Platform.read(STDIN_FILENO, max: 64 * 1024)) }
            }
        } onCancel: {
            resume(returning: nil)
        }
    }

    private func resume(returning bytes: [UInt8]?) {
        let waiting = waiter.withLock { waiter in
            defer { waiter = nil }
            return waiter
        }
        waiting?.resume(returning: bytes)
    }
}
