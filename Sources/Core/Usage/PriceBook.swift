import ExecboxModel

/// What a session costs, in micro-USD (PROTOCOL §6): reserved resources times wall time, in whole numbers throughout.
package struct PriceBook: Equatable, Sendable {
    package var microsPerSession: Int64
    package var microsPerCPUSecond: Int64
    package var microsPerGigabyteSecond: Int64

    package static let standard = PriceBook(microsPerSession: 1000, microsPerCPUSecond: 50, microsPerGigabyteSecond: 10)

    package init(microsPerSession: Int64, microsPerCPUSecond: Int64, microsPerGigabyteSecond: Int64) {
        self.microsPerSession = microsPerSession
        self.microsPerCPUSecond = microsPerCPUSecond
        self.microsPerGigabyteSecond = microsPerGigabyteSecond
    }

    /// Fractions of a micro are dropped once, at the end; what does not fit an Int64 is its largest value.
    package func costMicros(of resources: Resources, durationMs: Int64) -> Int64 {
        let duration = Int128(max(0, durationMs))
        // cpuMillis is thousandths of a CPU and the duration thousandths of a second: hence the million.
        let cpu = Int128(resources.cpuMillis) * duration * Int128(microsPerCPUSecond) * 1024
        let memory = Int128(resources.memoryMB) * duration * Int128(microsPerGigabyteSecond) * 1000
        return Int64(clamping: Int128(microsPerSession) + (cpu + memory) / (1_000_000 * 1024))
    }
}
