import ExecboxAPI
import ExecboxCore
import ExecboxModel
import ExecboxWire
import HTTPTypes
import Hummingbird
import NIOCore

/// `/v1/sessions/{id}/files` (PROTOCOL §4).
struct FileRoutes {
    let sessions: Sessions
    let files: Files
    let once: IdempotentRoute

    func add(to routes: RouteTable) {
        routes.on("sessions/:id/files", [.get: get, .head: get, .post: post, .put: put, .delete: remove], scopes: .files)
    }

    // MARK: Reading

    private func get(_ request: Request, _ context: ServerContext) async throws -> Response {
        let query = try FileQuery(request.rawQueryItems())
        try Self.refuse(["recursive": query.isRecursive, "from": query.from != nil, "type": query.type != nil, "mode": query.mode != nil])
        if query.archive != nil { throw Self.noTrees }
        let session = try await sessions.running(context.parameter("id"), of: context.caller)
        if query.list { return try await list(query.path, in: session) }
        var range = request.headers[.range].flatMap(ByteRange.init) ?? .whole
        // Conditions are looked at before a byte is read.
        if request.method == .head || request.headers[.ifNoneMatch] != nil || request.headers[.ifRange] != nil {
            let status = try await files.readable(query.path, in: session)
            var headers = Self.headers(of: status)
            if let tags = request.headers[.ifNoneMatch], Self.holds(tags, Self.entityTag(status)) {
                headers[.contentType] = nil
                return Response(status: .notModified, headers: headers)
            }
            if request.method == .head {
                headers[.contentLength] = "\(status.size)"
                return Response(status: .ok, headers: headers)
            }
            if let tag = request.headers[.ifRange], tag != Self.entityTag(status) { range = .whole }
        }
        let download = try await files.read(query.path, first: range.first, last: range.last, in: session)
        let status = download.status
        var headers = Self.headers(of: status)
        guard range == .whole || download.count > 0 else {
            var response = ExecboxError.invalid("Range", "the file has \(status.size) bytes, the range is beyond them")
                .response(requestID: context.requestID)
            response.status = .rangeNotSatisfiable
            response.headers[.contentRange] = "bytes */\(status.size)"
            return response
        }
        if range != .whole {
            headers[.contentRange] = "bytes \(download.start)-\(download.start + download.count - 1)/\(status.size)"
        }
        let body = ResponseBody(contentLength: Int(clamping: download.count)) { writer in
            try await download.write { try await writer.write($0) }
            try await writer.finish(nil)
        }
        return Response(status: range == .whole ? .ok : .partialContent, headers: headers, body: body)
    }

    private static func headers(of status: FileStatus) -> HTTPFields {
        [
            .contentType: "application/octet-stream", .acceptRanges: "bytes", .eTag: entityTag(status),
            .lastModified: httpDate(status.modifiedMicroseconds),
        ]
    }

    private func list(_ path: [UInt8], in session: Session) async throws -> Response {
        let pages = try await files.list(path, in: session)
        let body = ResponseBody { writer in
            let path = try String(decoding: path, as: UTF8.self).json()
            try await writer.write(ByteBuffer(bytes: Array("{\"path\":".utf8) + path + Array(",\"entries\":[".utf8)))
            var isFirst = true
            try await pages.write { entries in
                guard !entries.isEmpty else { return }
                var buffer = ByteBuffer(string: isFirst ? "" : ",")
                isFirst = false
                // A list without its brackets: an encoder for each entry would take most of the time.
                buffer.writeBytes(try entries.map(FileEntryBody.init).json().dropFirst().dropLast())
                try await writer.write(buffer)
            }
            try await writer.write(ByteBuffer(string: "]}"))
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: [.contentType: "application/json"], body: body)
    }

    // MARK: Changing

    private func post(_ request: Request, _ context: ServerContext) async throws -> Response {
        let query = try FileQuery(request.rawQueryItems())
        try Self.refuse(["list": query.list, "recursive": query.isRecursive, "archive": query.archive != nil])
        if query.type != nil || query.from != nil { return try await make(query, request, context) }
        let session = try await sessions.running(context.parameter("id"), of: context.caller)
        let written = try await files.write(query.path, mode: query.mode, bytes: request.body, in: session)
        let hash = written.sha256.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        return try .json(
            FileWrittenBody(path: Self.text(query.path), size: Int64(clamping: written.size), sha256: hash), status: .created)
    }

    private func make(_ query: FileQuery, _ request: Request, _ context: ServerContext) async throws -> Response {
        try Self.refuse(["mode": query.mode != nil, "from": query.type != nil && query.from != nil])
        let (caller, id) = (try context.caller, try context.parameter("id"))
        let path = Self.text(query.path)
        return try await once(request, context, body: try await request.bytes()) { claim in
            let session = try await sessions.running(id, of: caller)
            if let from = query.from {
                try await files.move(from, to: query.path, in: session)
            } else {
                try await files.makeDirectory(query.path, in: session)
            }
            try await once.record(claim, resource: path)
            return try .json(PathBody(path: path), status: .created)
        } again: { path in
            try .json(PathBody(path: path), status: .created)
        }
    }

    private func put(_ request: Request, _ context: ServerContext) async throws -> Response {
        let query = try FileQuery(request.rawQueryItems())
        _ = try await sessions.session(context.parameter("id"), of: context.caller)
        guard query.archive != nil else { throw ExecboxError.invalid("archive", "PUT takes a tree: query parameter archive must be tar") }
        throw Self.noTrees
    }

    private func remove(_ request: Request, _ context: ServerContext) async throws -> Response {
        let query = try FileQuery(request.rawQueryItems())
        try Self.refuse([
            "list": query.list, "from": query.from != nil, "type": query.type != nil, "mode": query.mode != nil,
            "archive": query.archive != nil,
        ])
        let session = try await sessions.running(context.parameter("id"), of: context.caller)
        try await files.remove(query.path, isRecursive: query.isRecursive, in: session)
        return try .json(StatusBody(status: "removed"))
    }

    // MARK: Forms

    private static var noTrees: ExecboxError {
        ExecboxError(.notImplemented, "trees are not offered by this server", details: ["field": .text("archive")])
    }

    /// Parameters that are known and mean nothing here.
    private static func refuse(_ parameters: KeyValuePairs<String, Bool>) throws(ExecboxError) {
        for (name, isGiven) in parameters where isGiven { throw .invalid(name, "query parameter \(name) is not taken here") }
    }

    private static func text(_ path: [UInt8]) -> String { String(decoding: path, as: UTF8.self) }

    private static func entityTag(_ status: FileStatus) -> String {
        let parts = [status.inode, status.size, UInt64(bitPattern: status.modifiedMicroseconds)].map { String($0, radix: 16) }
        return "\"\(parts.joined(separator: "-"))\""
    }

    /// Weak comparison (RFC 9110 §13.1.2).
    private static func holds(_ tags: String, _ tag: String) -> Bool {
        let weak = "W/" + tag
        return tags.split(separator: ",").contains { text in
            let given = text.filter { $0 != " " }
            return given == "*" || given == tag || given == weak
        }
    }

    /// An IMF-fixdate (RFC 9110 §5.6.7).
    private static func httpDate(_ microseconds: Int64) -> String {
        let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let day = Int((Double(microseconds) / 86_400_000_000).rounded(.down))
        let text = Timestamp(unixMicroseconds: microseconds).text
        let parts = text.split { "-T.".contains($0) }
        let month = Int(parts[1]).map { months[$0 - 1] } ?? ""
        return "\(weekdays[((day % 7) + 7) % 7]), \(parts[2]) \(month) \(parts[0]) \(parts[3]) GMT"
    }
}

extension FileEntryBody {
    fileprivate init(_ entry: FileEntry) {
        let status = entry.status
        self.init(
            name: entry.name, size: Int64(clamping: status.size), isDir: status.kind == .directory, mode: status.mode,
            modifiedAt: Timestamp(unixMicroseconds: status.modifiedMicroseconds),
            target: status.kind == .symbolicLink ? status.target : nil)
    }
}
