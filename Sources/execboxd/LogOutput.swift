import Dispatch
import Foundation
import Synchronization

/// Standard error for log lines: many lines a write, so that threads that log do not wait for each other in the kernel.
///
/// What matters is written before the call returns, with all that came before it; the rest within a few milliseconds, and at the
/// process's end. Memory is bounded: whoever fills the buffer writes it out.
final class LogOutput: Sendable {
    static let standardError: LogOutput = {
        atexit { LogOutput.standardError.flush() }
        return LogOutput(descriptor: STDERR_FILENO)
    }()

    private static let delay = DispatchTimeInterval.milliseconds(5)
    private static let maxPending = 256 << 10

    private let descriptor: Int32
    private let pending = Mutex<[UInt8]>([])
    /// Held while bytes are written, so that they stay in their order.
    private let turn = Mutex(())
    private let queue = DispatchQueue(label: "log")

    init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// - Parameter isUrgent: write it now.
    func write(_ line: [UInt8], isUrgent: Bool) {
        let (wasEmpty, isFull) = pending.withLock { pending in
            defer { pending += line }
            return (pending.isEmpty, pending.count + line.count > Self.maxPending)
        }
        if isUrgent || isFull {
            flush()
        } else if wasEmpty {
            queue.asyncAfter(deadline: .now() + Self.delay) { self.flush() }
        }
    }

    func flush() {
        turn.withLock { _ in
            let bytes = pending.withLock { pending in
                defer { pending = [] }
                return pending
            }
            bytes.withUnsafeBytes { bytes in
                var rest = bytes[...]
                while !rest.isEmpty {
                    let count = Foundation.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                    // Where nobody reads, there is nobody to tell.
                    guard count > 0 || errno == EINTR else { return }
                    rest = rest.dropFirst(max(0, count))
                }
            }
        }
    }
}
