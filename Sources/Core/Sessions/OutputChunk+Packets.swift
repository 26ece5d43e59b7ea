import ExecboxWire

extension OutputChunk {
    /// A run of output of one kind.
    package struct Piece: Equatable, Sendable {
        package var isStderr: Bool
        /// Where its first byte stands in the combined output.
        package var offset: Int64
        package var payload: ArraySlice<UInt8>
    }

    /// The chunk's output from `offset` on; a frame that begins before it is cut.
    ///
    /// Recorded frames were checked on their way in: anything else in the row ends the list.
    package func pieces(from offset: Int64) -> [Piece] {
        var pieces: [Piece] = []
        var position = start
        var index = frames.startIndex
        while let header = try? PacketHeader.parse(frames[index...]) {
            let payloadStart = index + header.headerLength
            let end = payloadStart + header.payloadLength
            guard end <= frames.endIndex else { break }
            let skipped = Int(max(0, min(offset - position, Int64(header.payloadLength))))
            if skipped < header.payloadLength {
                pieces.append(
                    Piece(
                        isStderr: header.type == FrameType.stderr.rawValue,
                        offset: position + Int64(skipped),
                        payload: frames[(payloadStart + skipped)..<end]
                    )
                )
            }
            position += Int64(header.payloadLength)
            index = end
        }
        return pieces
    }
}
