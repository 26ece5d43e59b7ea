import ExecboxAgentClient
import ExecboxModel
import ExecboxWire
import NIOCore

/// What a file operation in a sandbox answers, one after the other. Every byte is the sandbox's and may be a lie.
struct FileReplies {
    private let stream: AgentStream
    private let onCredit: @Sendable (UInt32) -> Void
    private var buffer = ByteBuffer()
    private var complaint: [UInt8] = []
    private var hasEnded = false

    /// - Parameter onCredit: told when more stdin is taken.
    init(_ stream: AgentStream, onCredit: @escaping @Sendable (UInt32) -> Void = { _ in }) {
        self.stream = stream
        self.onCredit = onCredit
    }

    /// - Throws: what the operation failed with; `unavailable` if it ended without an answer.
    mutating func next() async throws -> FileReply {
        while true {
            let parsed: (reply: FileReply, length: Int)?
            do {
                parsed = try FileReply.parse(buffer.readableBytesView)
            } catch {
                throw Self.failure("\(error)")
            }
            if let (reply, length) = parsed {
                buffer.moveReaderIndex(forwardBy: length)
                if case .failed(let failure) = reply { throw failure.domainError }
                return reply
            }
            guard try await receive() else { throw unanswered }
        }
    }

    /// Raw bytes, at most `count` of them, at least one.
    mutating func content(atMost count: UInt64) async throws -> ByteBuffer {
        while buffer.readableBytes == 0 {
            guard try await receive() else { throw unanswered }
        }
        return buffer.readSlice(length: Int(min(count, UInt64(buffer.readableBytes)))) ?? ByteBuffer()
    }

    private var unanswered: ExecboxError { Self.failure(String(decoding: complaint, as: UTF8.self)) }

    /// A sandbox that does not do its part.
    static func failure(_ detail: String) -> ExecboxError { .unavailable("file transfer in this sandbox", detail: detail) }

    /// - Returns: false once nothing more can come.
    private mutating func receive() async throws -> Bool {
        guard !hasEnded else { return false }
        let event: AgentEvent?
        do {
            event = try await stream.next()
        } catch .cancelled {
            throw CancellationError()
        } catch {
            throw Self.failure("\(error)")
        }
        switch event {
        case nil: return false
        case .output(let packet) where packet.stream == .stdout:
            var payload = packet.payload
            if buffer.readableBytes == 0 { buffer = payload } else { buffer.writeBuffer(&payload) }
        case .output(let packet): complaint += packet.payload.readableBytesView.prefix(max(0, 1000 - complaint.count))
        case .credit(let bytes): onCredit(bytes)
        case .gap: throw Self.failure("output is missing")
        case .exited: hasEnded = true
        case .failed(let failure): throw Self.failure(failure.message)
        }
        return true
    }
}
