import Dispatch

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// stdout and stderr, written on a thread of their own: a pipe that nobody reads holds us back, and with us the sender.
struct StandardOutput: Sendable {
    /// Whoever reads our output has gone away.
    struct Closed: Error {}

    private let queue = DispatchQueue(label: "execbox.output")

    /// Returns once all of it is written.
    func write(_ bytes: [UInt8], to descriptor: Int32) async throws(Closed) {
        let isWritten = await withCheckedContinuation { continuation in
            queue.async {
                var rest = bytes[...]
                while !rest.isEmpty {
                    let written = rest.withUnsafeBytes { Platform.write(descriptor, $0) }
                    guard written > 0 else { return continuation.resume(returning: false) }
                    rest = rest.dropFirst(written)
                }
                continuation.resume(returning: true)
            }
        }
        guard isWritten else { throw Closed() }
    }

    func write(_ text: String) async throws(Closed) { try await write(Array(text.utf8), to: STDOUT_FILENO) }
}
