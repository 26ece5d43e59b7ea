import ExecboxCore
import ExecboxModel
import NIOCore
import Synchronization

/// Session objects as they were sent last, for as long as their rows do not change: encoding one takes longer than finding it.
final class RenderedSessions: Sendable {
    private static let maxKept = 10_000

    private let kept = Mutex<[SessionID: (version: Int64, bytes: ByteBuffer)]>([:])

    func bytes(of found: SessionReader.Versioned, render: (Session) throws -> [UInt8]) throws -> ByteBuffer {
        let id = found.session.id
        if let known = kept.withLock({ $0[id] }), known.version == found.version { return known.bytes }
        let bytes = ByteBuffer(bytes: try render(found.session))
        kept.withLock { kept in
            if kept.count >= Self.maxKept { kept = [:] }
            kept[id] = (found.version, bytes)
        }
        return bytes
    }
}
