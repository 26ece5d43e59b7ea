/// What one agent may ask of this server process. The defaults are for production; tests lower them.
package struct AgentLinkLimits: Sendable {
    /// Idle connections kept a link; an agent keeps two.
    package var maxParked = 4
    /// Connections a link that have been accepted and not yet said hello.
    package var maxGreeting = 8
    /// Past this rate connections wait in the listen backlog.
    package var acceptsPerSecond = 100
    /// How long a new connection has for its hello.
    package var helloTimeout = Duration.seconds(5)
    /// Reading from a stream's socket stops while this much output waits for the consumer, in bytes.
    package var streamBufferBytes = 512 * 1024
    /// `send` suspends while this much waits for the socket, in bytes.
    package var sendBufferBytes = 256 * 1024

    package init() {}
}
