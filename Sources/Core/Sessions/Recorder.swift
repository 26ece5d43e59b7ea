import ExecboxAgentClient
import ExecboxModel
import ExecboxWire
import Logging
import NIOCore

/// Writes main's output to the database while it comes (ARCHITECTURE, "Output: three zones"): the head without loss, acknowledged after
/// commit; behind it the last ring's worth, replaced as it grows.
struct Recorder {
    /// A chunk is written when it is this long, or when nothing more has arrived.
    static let maxChunkBytes = 512 * 1024

    /// Another recorder has taken over; this one may write nothing more.
    struct Replaced: Error {}

    let session: Session
    let link: AgentLink
    let services: SessionServices

    private struct Progress {
        var epoch: Int64
        /// What the row says is recorded.
        var expected: Int64
        /// Where the next byte from the agent stands; ahead of `expected` after a hole.
        var position: Int64
    }

    /// Runs until main has ended and all of its output is recorded, over any number of lost connections.
    ///
    /// - Throws: `Replaced`, `CancellationError`, or what the database or the link threw where trying again here makes no sense.
    func run(onContact: () -> Void) async throws -> ExitReport {
        let begun = try await services.outputs.beginEpoch(session.id)
        var progress = Progress(epoch: begun.epoch, expected: begun.recorded, position: begun.recorded)
        while true {
            try Task.checkCancellation()
            do {
                if let report = try await record(&progress, onContact: onContact) { return report }
            } catch let error as AgentLinkError {
                switch error {
                case .notConnected, .connectionLost, .timeout: break
                default: throw error
                }
            }
            services.log.debug("Recorder lost its agent connection", metadata: ["session": "\(session.id)"])
            try await link.waitUntilConnected(timeout: .seconds(3600))
        }
    }

    private func record(_ progress: inout Progress, onContact: () -> Void) async throws -> ExitReport? {
        let request = AttachRequest(
            processID: AgentMessage.mainProcessID,
            offset: UInt64(progress.position),
            flow: .recorder,
            sendsStdin: false,
            epoch: UInt64(progress.epoch)
        )
        var copy = progress
        defer { progress = copy }
        return try await link.withStream(.attach(request)) { stream in
            onContact()
            copy.position = Int64(clamping: max(stream.first, UInt64(copy.position)))
            var chunk = OutputChunk(start: copy.position, payloadBytes: 0, frames: [])
            while true {
                let events = try await stream.nextBatch()
                guard !events.isEmpty else { return nil }
                onContact()
                for event in events {
                    switch event {
                    case .output(let packet):
                        chunk.frames.append(contentsOf: packet.packet.readableBytesView)
                        chunk.payloadBytes += packet.payloadLength
                        if chunk.payloadBytes >= Self.maxChunkBytes { try await write(&chunk, &copy, to: stream) }
                    case .gap(let missing):
                        try await write(&chunk, &copy, to: stream)
                        let (next, overflowed) = copy.position.addingReportingOverflow(Int64(clamping: missing))
                        guard !overflowed else { throw AgentLinkError.protocolViolation("a gap beyond all offsets") }
                        copy.position = next
                        chunk.start = next
                    case .exited(let report):
                        try await write(&chunk, &copy, to: stream)
                        return report
                    case .failed(let failure): throw AgentLinkError.refused(failure)
                    case .credit: break
                    }
                }
                try await write(&chunk, &copy, to: stream)
            }
        }
    }

    private func write(_ chunk: inout OutputChunk, _ progress: inout Progress, to stream: AgentStream) async throws {
        guard chunk.payloadBytes > 0 else { return }
        services.activity.touch(session.id)
        let append = OutputStore.Append(session: session.id, epoch: progress.epoch, expected: progress.expected, chunk: chunk)
        // The database may be away for a while: main waits in the head, and behind it the ring goes on.
        while true {
            do {
                guard try await services.writer.append(append) else { throw Replaced() }
                break
            } catch let error as Replaced {
                throw error
            } catch {
                try Task.checkCancellation()
                // A commit whose answer was lost has moved the row already.
                if let row = try? await services.outputs.position(session.id) {
                    guard row.epoch == progress.epoch else { throw Replaced() }
                    if row.recorded == chunk.end { break }
                }
                try await Task.sleep(for: .milliseconds(250))
            }
        }
        let head = services.settings.headBytes
        progress.expected = chunk.end
        progress.position = chunk.end
        if chunk.start < head {
            try await stream.acknowledge(epoch: UInt64(progress.epoch), offset: UInt64(chunk.end))
        } else {
            let window = chunk.end - services.settings.ringBytes(memoryMB: session.resources.memoryMB)
            if window > head { try await services.outputs.trimTail(session.id, keepingFrom: window, headBytes: head) }
        }
        chunk = OutputChunk(start: chunk.end, payloadBytes: 0, frames: [])
    }
}
