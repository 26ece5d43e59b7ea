import AsyncHTTPClient
import ExecboxAPI
import ExecboxModel
import NIOCore
import NIOHTTP1

/// Sessions over the wire (PROTOCOL §2, §3). Every call throws `ExecboxClientError`, or a cancellation.
public struct SessionsClient: Sendable {
    let transport: Transport

    private func path(_ id: String, _ more: String = "") -> String { "/v1/sessions/\(id.percentEncoded)\(more)" }

    /// - Parameter waitSeconds: how long the answer may wait for the session to run (0 to 60); nil leaves it to the server.
    /// - Returns: the session in whatever state it has, also `failed`.
    public func create(_ body: CreateSessionBody, waitSeconds: Int? = nil) async throws -> SessionBody {
        try await transport.send(
            .POST, "/v1/sessions", body: body, headers: waitSeconds.map { ["Prefer": "wait=\($0)"] } ?? [:],
            timeout: .seconds(Int64(90 + (waitSeconds ?? 0))))
    }

    public func get(_ id: String) async throws -> SessionBody { try await transport.send(.GET, path(id)) }

    /// One page; `nextCursor` goes into the next query.
    public func list(_ query: ListSessionsQuery = .init()) async throws -> SessionListBody {
        try await transport.send(.GET, "/v1/sessions".withQuery(query.items))
    }

    public func patch(_ id: String, _ body: PatchSessionBody) async throws -> SessionBody {
        try await transport.send(.PATCH, path(id), body: body)
    }

    /// - Returns: the session once it is terminal, or as it is when the time is up.
    public func wait(_ id: String, timeoutMs: Int64 = 60_000) async throws -> SessionBody {
        let query = [(name: "timeoutMs", value: "\(timeoutMs)")]
        return try await transport.send(.GET, path(id, "/wait").withQuery(query), timeout: .milliseconds(timeoutMs) + .seconds(30))
    }

    /// Returns once the session has ended.
    public func stop(_ id: String, graceMs: Int64 = StopSessionBody.defaultGraceMs) async throws -> StatusBody {
        try await transport.send(
            .POST, path(id, "/stop"), body: StopSessionBody(graceMs: graceMs), timeout: .milliseconds(graceMs) + .seconds(60))
    }

    /// Returns once the session is gone.
    public func kill(_ id: String) async throws -> StatusBody { try await transport.send(.DELETE, path(id)) }

    public func stats(_ id: String) async throws -> StatsBody { try await transport.send(.GET, path(id, "/stats")) }

    public func url(_ id: String, port: UInt16) async throws -> URLBody {
        try await transport.send(.GET, path(id, "/url").withQuery([(name: "port", value: "\(port)")]))
    }

    /// Recorded output as one value, at most 64 MiB of it; `query.limit` makes pages.
    public func logs(_ id: String, _ query: LogsQuery = .init()) async throws -> LogPage {
        let response = try await transport.execute(.GET, path(id, "/logs").withQuery(query.items), timeout: .minutes(10))
        func number(_ name: String) -> UInt64? { response.headers.first(name: name).flatMap { UInt64($0) } }
        return LogPage(
            bytes: try await transport.collect(response), nextOffset: number("X-Execbox-Next-Offset"),
            isComplete: response.headers.first(name: "X-Execbox-Complete") == "true", missingBytes: number("X-Execbox-Missing-Bytes") ?? 0)
    }

    /// Recorded output piece by piece as it arrives; with `query.follow` until the session ends.
    public func logStream(_ id: String, _ query: LogsQuery = .init()) async throws -> LogStream {
        LogStream(body: try await transport.execute(.GET, path(id, "/logs").withQuery(query.items), timeout: .hours(24 * 365)).body)
    }

    /// The main process's stream: everything kept from `offset` on, then live.
    public func attach(
        _ id: String, offset: UInt64? = nil, flow: StreamQuery.Flow = .lossless, stdin: Bool = true, resume: ResumePolicy = .init()
    ) async throws -> ExecStream {
        try await ExecStream.open(transport: transport, offset: offset, resume: resume) { offset, _ in
            var query = AttachQuery()
            query.stream.offset = offset
            query.stream.flow = flow
            query.stdin = stdin
            return path(id, "/attach").withQuery(query.items)
        }
    }
}
