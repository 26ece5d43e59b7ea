import ExecboxAgentClient
import ExecboxModel
import ExecboxWire

/// A folder's entries on their way, sorted by the bytes of their names.
package final class FolderPages: Sendable {
    private let open: OpenAgentStream
    private let first: [FileEntry]?
    private let replies: FileReplies

    /// - Parameter first: nil for an empty folder.
    init(open: OpenAgentStream, first: [FileEntry]?, replies: FileReplies) {
        self.open = open
        self.first = first
        self.replies = replies
    }

    /// To be called once.
    package func write(_ body: ([FileEntry]) async throws -> Void) async throws {
        var replies = replies
        var page = first
        while let entries = page {
            try await body(entries)
            page = try await Self.page(&replies)
        }
        open.close()
    }

    static func page(_ replies: inout FileReplies) async throws -> [FileEntry]? {
        switch try await replies.next() {
        case .entries(let entries): return entries
        case .done: return nil
        default: throw FileReplies.failure("no list")
        }
    }
}
