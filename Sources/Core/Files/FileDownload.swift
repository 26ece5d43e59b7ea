import ExecboxAgentClient
import ExecboxModel
import ExecboxWire
import NIOCore

/// A file's bytes on their way; its connection is closed with the last reference.
package final class FileDownload: Sendable {
    package let status: FileStatus
    /// Which part comes: `start ..< start + count`.
    package let start: UInt64
    package let count: UInt64
    private let open: OpenAgentStream
    private let replies: FileReplies

    init(status: FileStatus, start: UInt64, count: UInt64, open: OpenAgentStream, replies: FileReplies) {
        self.status = status
        self.start = start
        self.count = count
        self.open = open
        self.replies = replies
    }

    /// Gives every byte to `body` in their order. To be called once.
    ///
    /// - Throws: if the file became shorter meanwhile, or its sandbox ended.
    package func write(_ body: (ByteBuffer) async throws -> Void) async throws {
        var replies = replies
        var left = count
        while left > 0 {
            let bytes = try await replies.content(atMost: left)
            left -= UInt64(bytes.readableBytes)
            try await body(bytes)
        }
        open.close()
    }
}
