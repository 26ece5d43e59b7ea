import ExecboxAgentClient
import ExecboxModel
import ExecboxSandbox
import ExecboxWire
import NIOCore

/// Files in a running session: each operation is a short process of the agent's own program, which runs as the session's user.
package struct Files: Sendable {
    /// How the ids of such processes begin; they are no execs of the caller's.
    static let processPrefix = "file_"
    private static let maxChunk = 128 * 1024

    private let services: SessionServices
    private let sessions: Sessions

    package init(services: SessionServices, sessions: Sessions) {
        self.services = services
        self.sessions = sessions
    }

    // MARK: Reading

    /// Of the file that reading would open: through symbolic links.
    package func readable(_ path: [UInt8], in session: Session) async throws -> FileStatus {
        try await read(path, first: .max, in: session).status
    }

    /// - Parameters:
    ///   - first: nil for the file's last `last` bytes.
    ///   - last: inclusive; nil for the end.
    package func read(_ path: [UInt8], first: UInt64? = 0, last: UInt64? = nil, in session: Session) async throws -> FileDownload {
        let open = try await open(.read(path: path, first: first, last: last), in: session)
        var replies = FileReplies(open.stream)
        guard case .content(let status, let start, let count) = try await replies.next(), start <= status.size, count <= status.size - start
        else { throw Self.unexpected }
        return FileDownload(status: status, start: start, count: count, open: open, replies: replies)
    }

    package func list(_ path: [UInt8], in session: Session) async throws -> FolderPages {
        let open = try await open(.list(path: path), in: session)
        var replies = FileReplies(open.stream)
        let first = try await FolderPages.page(&replies)
        return FolderPages(open: open, first: first, replies: replies)
    }

    // MARK: Changing

    package func makeDirectory(_ path: [UInt8], in session: Session) async throws {
        try await change(.makeDirectory(path: path), in: session)
    }

    package func move(_ from: [UInt8], to: [UInt8], in session: Session) async throws {
        try await change(.move(from: from, to: to), in: session)
    }

    package func remove(_ path: [UInt8], isRecursive: Bool, in session: Session) async throws {
        try await change(.remove(path: path, isRecursive: isRecursive), in: session)
    }

    /// Writes a file: as a whole or not at all.
    ///
    /// - Parameter mode: permission bits; nil for those of the file that is there, or 0644.
    package func write<Bytes: AsyncSequence & Sendable>(
        _ path: [UInt8], mode: UInt32?, bytes: Bytes, in session: Session
    ) async throws -> (size: UInt64, sha256: [UInt8]) where Bytes.Element == ByteBuffer {
        let link = try await services.link(to: session)
        return try await services.activity.during(session.id) {
            do {
                return try await link.withStream(start(.write(path: path, mode: mode), in: session, sendsStdin: true)) { stream in
                    let credit = StdinCredit(AgentMessage.initialStdinCredit)
                    return try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask { try await Self.feed(bytes, to: stream, credit) }
                        defer { group.cancelAll() }
                        var replies = FileReplies(stream) { credit.add($0) }
                        guard case .done(let size, let hash) = try await replies.next() else { throw Self.unexpected }
                        return (size, hash)
                    }
                }
            } catch let error as AgentLinkError {
                throw try await failure(error, of: session)
            }
        }
    }

    /// A caller who breaks off leaves stdin without its end, and so nothing behind.
    private static func feed<Bytes: AsyncSequence & Sendable>(
        _ bytes: Bytes, to stream: AgentStream, _ credit: StdinCredit
    ) async throws where Bytes.Element == ByteBuffer {
        do {
            for try await buffer in bytes where buffer.readableBytes > 0 {
                try await send(buffer, to: stream, credit)
            }
            // Bytes that end because nobody is to read them any more are not complete.
            try Task.checkCancellation()
            try await send(ByteBuffer(), to: stream, credit)
        } catch {
            try? await stream.send(.stdinClose)
            throw error
        }
        try await stream.send(.stdinClose)
    }

    /// A chunk in as many Stdin frames as there is credit for; its length stands in front.
    private static func send(_ chunk: ByteBuffer, to stream: AgentStream, _ credit: StdinCredit) async throws {
        var length = ByteBuffer(integer: UInt32(chunk.readableBytes))
        var rest = chunk
        while length.readableBytes + rest.readableBytes > 0 {
            let count = try await credit.take(upTo: min(length.readableBytes + rest.readableBytes, maxChunk))
            var packet = ByteBuffer()
            packet.reserveCapacity(count + PacketHeader.maxLength)
            packet.writeInteger(FrameType.stdin.rawValue)
            packet.writeInteger(UInt32(count))
            let ofLength = min(count, length.readableBytes)
            if let piece = length.readSlice(length: ofLength) { packet.writeImmutableBuffer(piece) }
            if let piece = rest.readSlice(length: count - ofLength) { packet.writeImmutableBuffer(piece) }
            try await stream.send(packet: packet)
        }
    }

    // MARK: The process

    private func change(_ operation: FileOperation, in session: Session) async throws {
        let open = try await open(operation, in: session)
        defer { open.close() }
        var replies = FileReplies(open.stream)
        guard case .done = try await replies.next() else { throw Self.unexpected }
    }

    private func open(_ operation: FileOperation, in session: Session) async throws -> OpenAgentStream {
        let link = try await services.link(to: session)
        services.activity.touch(session.id)
        do {
            return try await link.openStream(start(operation, in: session, sendsStdin: false))
        } catch {
            throw try await failure(error, of: session)
        }
    }

    private func start(_ operation: FileOperation, in session: Session, sendsStdin: Bool) -> AgentMessage {
        .start(
            StartRequest(
                processID: Self.processPrefix + Execs.makeID(), arguments: [AgentProgram.path] + operation.arguments,
                user: session.user, opensStdin: sendsStdin, sendsStdin: sendsStdin))
    }

    private func failure(_ error: AgentLinkError, of session: Session) async throws -> any Error {
        let failure = try await sessions.failure(error, of: session)
        guard let refusal = failure as? AgentFailure else { return failure }
        switch refusal.code {
        case .unknownUser: return ExecboxError.invalid("user", refusal.message)
        case .busy: return ExecboxError(.quotaExceeded, refusal.message, details: ["limit": .text("execs")], retryAfter: 1)
        default: return FileReplies.failure(refusal.message)
        }
    }

    private static var unexpected: ExecboxError { FileReplies.failure("an unexpected reply") }
}
