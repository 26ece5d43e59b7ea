/// What happens when a reader is slower than the process.
public enum StreamFlow: UInt8, Sendable, CaseIterable {
    /// The process waits, as on a pipe. Once a kill was asked for (Shutdown, SIGKILL, Hangup's second step, timeout, deadline) nobody is
    /// waited for any more: such a reader then gets Gaps like a live one, so that a stuck reader cannot hold up an end.
    case lossless = 0
    /// Nobody waits; the reader gets Gaps.
    case live = 1
    /// The recorder: nobody waits for its reading, but head bytes stay until it acknowledges them. Past the head the agent sends to it in
    /// bursts, one a second at most and at once when the process has ended, so that recording costs a busy stream nothing.
    case recorder = 2
    /// Only for `start`: the connection starts the process, gets `attached` and is no reader; the agent closes it. The process then waits
    /// for its first reader as an orphan does (its 60 s timer runs unless it is retained), and is not forgotten before one was served.
    case detached = 3
    /// As `detached`, but a reader is on its way: until it is there, or 60 s have passed, the process is held back as by a lossless one
    /// that has taken nothing yet. Its output is not the older for having begun before its first reader came.
    case awaited = 4

    /// Whether a connection with it reads.
    public var isReader: Bool { self != .detached && self != .awaited }
}
