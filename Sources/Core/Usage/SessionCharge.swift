import ExecboxModel

/// One session's share of a bill: its ledger entry, or what it has cost so far.
package struct SessionCharge: Hashable, Sendable {
    package var sessionID: SessionID
    package var keyID: KeyID
    package var image: String
    package var status: SessionStatus
    package var reason: EndReason?
    package var labels: [String: String]
    package var startedAt: Timestamp?
    /// Nil while it runs.
    package var endedAt: Timestamp?
    /// As in `UsageSum`: where it is booked, or would be now.
    package var day: String
    package var cpuMillis: Int
    package var memoryMB: Int
    package var durationMs: Int64
    package var cpuMs: Int64
    package var costMicros: Int64
}
