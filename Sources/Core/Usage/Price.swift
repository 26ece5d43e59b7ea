import ExecboxModel

/// What a session costs from `validFrom` until the next price's: reserved resources times wall time (PROTOCOL §6). Sums are made by the
/// database (`session_cost_micros`), so that rows, ledger and reports cannot differ.
package struct Price: Hashable, Sendable {
    package static let maxMicros: Int64 = 1_000_000_000

    package var validFrom: Timestamp
    package var microsPerSession: Int64
    package var microsPerCPUSecond: Int64
    package var microsPerGigabyteSecond: Int64

    package init(validFrom: Timestamp, microsPerSession: Int64, microsPerCPUSecond: Int64, microsPerGigabyteSecond: Int64) {
        self.validFrom = validFrom
        self.microsPerSession = microsPerSession
        self.microsPerCPUSecond = microsPerCPUSecond
        self.microsPerGigabyteSecond = microsPerGigabyteSecond
    }
}
