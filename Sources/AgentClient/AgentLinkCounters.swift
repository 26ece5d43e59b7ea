/// What has happened on a link so far.
package struct AgentLinkCounters: Equatable, Sendable {
    /// Connections that said an acceptable hello.
    package var greeted: UInt64 = 0
    /// Turned away: the peer's pid was not the agent's.
    package var wrongPeers: UInt64 = 0
    /// Turned away: more idle connections than a link keeps.
    package var surplus: UInt64 = 0
    /// Closed: no hello in time.
    package var silent: UInt64 = 0
    /// Closed: bytes that the protocol does not allow.
    package var violations: UInt64 = 0
    /// Closed: another boot id or protocol version.
    package var refused: UInt64 = 0
    /// Operations sent a second time because their first connection died.
    package var repeated: UInt64 = 0
}
