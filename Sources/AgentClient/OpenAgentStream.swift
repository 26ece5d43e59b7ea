/// A stream without a scope, for what is read by whoever comes after the asker. Its connection is closed with the last reference, or by
/// `close`; the process's reader is gone then.
package final class OpenAgentStream: Sendable {
    package let stream: AgentStream
    private let connection: AgentConnection

    init(stream: AgentStream, connection: AgentConnection) {
        self.stream = stream
        self.connection = connection
    }

    deinit { connection.close(.closed) }

    package func close() { connection.close(.closed) }
}
