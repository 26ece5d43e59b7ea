import ExecboxAPI
import ExecboxCore
import ExecboxModel
import HTTPTypes
import Hummingbird
import NIOCore

/// `/v1/sessions/{id}/logs`: the recorded bytes of main (PROTOCOL §3, "Logs").
struct LogRoutes {
    /// What one answer holds at most when it is not followed, in combined bytes.
    private static let maxAnswerBytes: Int64 = 16 << 20

    let services: SessionServices
    let sessions: Sessions

    func add(to routes: RouteTable) {
        routes.on("sessions/:id/logs", [.get: logs], scopes: .sessions)
    }

    private func logs(_ request: Request, _ context: ServerContext) async throws -> Response {
        let query = try LogsQuery(request.queryItems())
        let session = try await sessions.session(context.parameter("id"), of: context.caller)
        if request.headers[.accept]?.contains("application/x-ndjson") == true {
            throw ExecboxError(.notImplemented, "logs come as application/octet-stream only", details: ["field": .text("Accept")])
        }
        return query.follow ? try await follow(session, query) : try await snapshot(request, session, query)
    }

    private struct Snapshot {
        var bytes: [UInt8] = []
        var missing: Int64 = 0
        var next: Int64
    }

    private func snapshot(_ request: Request, _ session: Session, _ query: LogsQuery) async throws -> Response {
        let isEnded = session.status.isTerminal
        let total = try await total(of: session)
        var start = Int64(clamping: query.offset ?? 0)
        var isPartial = false
        if isEnded, query.offset == nil, query.stream == .both, let from = Self.rangeStart(request) {
            guard from < total else { throw ExecboxError.invalid("Range", "the range begins at \(from), the output ends at \(total)") }
            start = from
            isPartial = true
        }
        guard start <= total else { throw Self.beyondEnd(start, total) }
        let limit = min(query.limit ?? Self.maxAnswerBytes, Self.maxAnswerBytes)
        let read = try await read(session, query, from: start, total: total, limit: limit)
        if isPartial, read.missing > 0 {
            // A range has no way to say that bytes are missing inside it: RFC 9110 lets us answer with the whole.
            return try await respond(read: try await self.read(session, query, from: 0, total: total, limit: limit), isEnded, total, nil)
        }
        return try await respond(read: read, isEnded, total, isPartial ? start : nil)
    }

    private func respond(read: Snapshot, _ isEnded: Bool, _ total: Int64, _ rangeStart: Int64?) async throws -> Response {
        var headers: HTTPFields = [.contentType: "application/octet-stream"]
        headers.set("X-Execbox-Next-Offset", "\(read.next)")
        headers.set("X-Execbox-Complete", isEnded && read.next >= total ? "true" : "false")
        headers.set("X-Execbox-Missing-Bytes", "\(read.missing)")
        if isEnded { headers[.acceptRanges] = "bytes" }
        if let rangeStart { headers[.contentRange] = "bytes \(rangeStart)-\(max(rangeStart, read.next - 1))/\(total)" }
        return Response(
            status: rangeStart == nil ? .ok : .partialContent,
            headers: headers,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: read.bytes))
        )
    }

    private func read(_ session: Session, _ query: LogsQuery, from start: Int64, total: Int64, limit: Int64) async throws -> Snapshot {
        let end = min(total, start.saturatingAdding(limit))
        var recording = RecordedOutput(session.id, from: start, outputs: services.outputs)
        var snapshot = Snapshot(next: start)
        var isFirst = true
        while recording.offset < end {
            let elements = try await recording.next(end: end)
            if elements.isEmpty { break }
            for element in elements {
                switch element {
                case .gap(let missing):
                    if isFirst, query.offset != nil { throw Self.gone(start, first: start + missing) }
                    snapshot.missing += missing
                case .piece(let piece): if query.stream.takes(piece) { snapshot.bytes += piece.payload }
                }
                isFirst = false
            }
        }
        if session.status.isTerminal, let missing = recording.skip(to: end) {
            if isFirst, query.offset != nil { throw Self.gone(start, first: end) }
            snapshot.missing += missing
        }
        snapshot.next = recording.offset
        return snapshot
    }

    private static func gone(_ offset: Int64, first: Int64) -> ExecboxError {
        ExecboxError(.gone, "the output at offset \(offset) is no longer kept", details: ["firstOffset": .number(first)])
    }

    /// `Range: bytes=n-` and nothing else; other forms are ignored, as RFC 9110 §14.2 allows.
    private static func rangeStart(_ request: Request) -> Int64? {
        guard let range = request.headers[.range], range.hasPrefix("bytes="), range.hasSuffix("-") else { return nil }
        return Int64(range.dropFirst(6).dropLast()).flatMap { $0 >= 0 ? $0 : nil }
    }

    /// Where the output ends as far as it is known: of a session that runs, what is recorded.
    private func total(of session: Session) async throws -> Int64 {
        let recorded = try await services.outputs.position(session.id)?.recorded ?? 0
        guard session.status.isTerminal else { return recorded }
        return max(recorded, (session.usage?.stdoutBytes ?? 0) + (session.usage?.stderrBytes ?? 0))
    }

    private static func beyondEnd(_ offset: Int64, _ total: Int64) -> ExecboxError {
        .invalid("offset", "offset is \(offset), the recorded output ends at \(total)")
    }

    /// What is recorded, and then what is being recorded, until the session ends. `limit` counts combined bytes here too.
    private func follow(_ session: Session, _ query: LogsQuery) async throws -> Response {
        let services = services
        let start = Int64(clamping: query.offset ?? 0)
        let end = query.limit.map { start.saturatingAdding($0) }
        let recording = RecordedOutput(session.id, from: start, outputs: services.outputs)
        if query.offset != nil {
            // Asked before the answer begins: afterwards there is no status left to say it with.
            var ahead = recording
            let first = try await ahead.next(limit: 1)
            if case .gap(let missing)? = first.first { throw Self.gone(start, first: start + missing) }
            if first.isEmpty, session.status.isTerminal {
                let total = try await total(of: session)
                guard start <= total else { throw Self.beyondEnd(start, total) }
                guard start == total else { throw Self.gone(start, first: total) }
            }
        }
        let body = ResponseBody { writer in
            var recording = recording
            while end.map({ recording.offset < $0 }) ?? true {
                // Asked before reading: what is recorded until the end is read afterwards.
                let isEnded = try await services.store.session(session.id)?.status.isTerminal ?? true
                let elements = try await recording.next(end: end)
                for case .piece(let piece) in elements where query.stream.takes(piece) {
                    try await writer.write(ByteBuffer(bytes: piece.payload))
                }
                guard elements.isEmpty else { continue }
                if isEnded { break }
                _ = try await services.watch.wait(for: session.id, until: .now + .milliseconds(200)) {
                    try await services.store.session(session.id)?.status.isTerminal == true ? true : nil
                }
            }
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: [.contentType: "application/octet-stream"], body: body)
    }
}

extension Int64 {
    /// The sum, or the largest value if it does not fit.
    fileprivate func saturatingAdding(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}

extension LogsQuery.Stream {
    fileprivate func takes(_ piece: OutputChunk.Piece) -> Bool {
        switch self {
        case .both: true
        case .stdout: !piece.isStderr
        case .stderr: piece.isStderr
        }
    }
}

extension HTTPFields {
    fileprivate mutating func set(_ name: String, _ value: String) {
        if let name = HTTPField.Name(name) { self[name] = value }
    }
}
