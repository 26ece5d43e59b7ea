import ExecboxWebSocket
import HTTPTypes

/// What a stream route answers once everything about the request is right: the 101's headers and what happens behind it.
package struct WebSocketAnswer: Sendable {
    /// One of those the client offered, or nil.
    package var subprotocol: String?
    package var headers: HTTPFields
    /// The stream itself. On return the connection is closed with 1000 unless it has been closed already; an error closes it with 1011.
    package var run: @Sendable (WebSocketConnection) async throws -> Void
    /// Called instead of `run` if the client went away before the 101 was written, to let go of what `prepare` acquired.
    package var abandoned: @Sendable () async -> Void

    package init(
        subprotocol: String? = nil, headers: HTTPFields = [:], run: @escaping @Sendable (WebSocketConnection) async throws -> Void,
        abandoned: @escaping @Sendable () async -> Void = {}
    ) {
        self.subprotocol = subprotocol
        self.headers = headers
        self.run = run
        self.abandoned = abandoned
    }
}
