import Testing

@testable import ExecboxClient

/// Who waits for the server to take more input.
@Suite struct StdinGateTests {
    @Test func aWriterThatIsCancelledWhileItBeginsToWaitIsResumedOnce() async {
        // A second resumption would end the process.
        for _ in 0..<20_000 {
            let gate = StdinGate()
            let writer = Task { try? await gate.reserve(upTo: 1) }
            async let cancelled: Void = writer.cancel()
            await cancelled
            _ = await writer.value
        }
    }
}
