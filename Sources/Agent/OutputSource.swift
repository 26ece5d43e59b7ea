import CAgent

/// The agent's end of a pipe or terminal that a process writes to.
final class OutputSource {
    let descriptor: Int32
    let stream: OutputBuffer.Stream
    let isTerminal: Bool
    /// What had been written when the leader ended and has not been read yet: none of it may be lost.
    var unreadAtExit = 0
    private(set) var isOpen = true
    private var isEnlarged = false

    init(descriptor: Int32, stream: OutputBuffer.Stream, isTerminal: Bool) {
        self.descriptor = descriptor
        self.stream = stream
        self.isTerminal = isTerminal
    }

    func markClosed() { isOpen = false }

    /// A terminal does not say how much lies in its queues; this is more than they hold.
    func noteExit() {
        unreadAtExit = isTerminal ? 256 * 1024 : execbox_readable_bytes(descriptor)
    }

    /// True once: a pipe that was found rather full is worth enlarging.
    func shouldEnlarge(after count: Int) -> Bool {
        guard !isTerminal, !isEnlarged, count >= 32 * 1024 else { return false }
        isEnlarged = true
        return true
    }
}
