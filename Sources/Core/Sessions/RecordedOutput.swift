import ExecboxModel

/// Reads a session's recorded output in order and says where bytes are missing.
package struct RecordedOutput: Sendable {
    package enum Element: Equatable, Sendable {
        case piece(OutputChunk.Piece)
        /// So many bytes are not kept here.
        case gap(Int64)
    }

    private let outputs: OutputStore
    private let session: SessionID
    /// The combined offset of the next byte.
    package private(set) var offset: Int64

    package init(_ session: SessionID, from offset: Int64, outputs: OutputStore) {
        self.session = session
        self.offset = offset
        self.outputs = outputs
    }

    /// What follows `offset`, about `limit` bytes of it, up to `end` when that is given. Empty when nothing more is recorded.
    package mutating func next(limit: Int = 1 << 20, end: Int64? = nil) async throws -> [Element] {
        var elements: [Element] = []
        for chunk in try await outputs.chunks(session, from: offset, limit: limit) {
            if let end, chunk.start >= end { break }
            if chunk.start > offset {
                elements.append(.gap(chunk.start - offset))
                offset = chunk.start
            }
            for var piece in chunk.pieces(from: offset) {
                if let end, piece.offset + Int64(piece.payload.count) > end {
                    guard piece.offset < end else { break }
                    piece.payload = piece.payload.prefix(Int(end - piece.offset))
                }
                elements.append(.piece(piece))
                offset = piece.offset + Int64(piece.payload.count)
            }
        }
        return elements
    }

    /// Crosses what is missing up to `end`, if anything is; the gap's size or nil.
    package mutating func skip(to end: Int64) -> Int64? {
        guard end > offset else { return nil }
        defer { offset = end }
        return end - offset
    }
}
