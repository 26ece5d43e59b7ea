import ExecboxModel

/// What the sessions of an hour or a day used, together.
package struct UsageSum: Hashable, Sendable {
    /// A day as `2026-01-31`, in the account's time zone; an hour as its first moment, in UTC.
    package var period: String
    /// Sessions that have ended in it; in the present period those that run, too, up to now.
    package var executions: Int64
    /// Those of them that failed.
    package var errors: Int64
    package var durationMs: Int64
    /// Measured; `durationMs` and what was reserved make the cost.
    package var cpuMs: Int64
    package var costMicros: Int64
}
