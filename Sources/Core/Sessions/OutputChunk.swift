import ExecboxModel

/// A piece of main's output: frames back to back (PROTOCOL §3, Stdout and Stderr only), as they are relayed and as they are stored.
package struct OutputChunk: Equatable, Sendable {
    /// Combined stdout and stderr payload bytes before this chunk.
    package var start: Int64
    /// Payload bytes in `frames`, without their headers.
    package var payloadBytes: Int
    package var frames: [UInt8]
    /// When it was recorded; nil while it has not been.
    package var recordedAt: Timestamp?

    package var end: Int64 { start + Int64(payloadBytes) }

    package init(start: Int64, payloadBytes: Int, frames: [UInt8], recordedAt: Timestamp? = nil) {
        self.start = start
        self.payloadBytes = payloadBytes
        self.frames = frames
        self.recordedAt = recordedAt
    }
}
