import ExecboxAPI
import ExecboxClient

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Connects a remote process to our own stdin, stdout, stderr, terminal and signals until it ends.
struct InteractiveStream: Sendable {
    /// What a second ^C, SIGTERM or SIGHUP does.
    enum Interruption: Sendable {
        /// The process is ours: end it.
        case end(@Sendable () async throws -> Void)
        /// Somebody else's: leave it alone.
        case detach
    }

    enum Outcome: Sendable {
        case exited(Int32)
        /// The stream ended, the process did not, or not so that we know.
        case detached
        /// By a signal to us; the code to exit with.
        case interrupted(Int32)
    }

    let stream: ExecStream
    let passesStdin: Bool
    let isTerminal: Bool
    let interruption: Interruption
    /// An Error frame that ends the stream is not said here: the caller knows the session's end, and says it once.
    var isEndToldByCaller = false
    /// Called before the first output is written.
    var begins: @Sendable () async -> Void = {}

    func run() async throws -> Outcome {
        let signals = Signals([SIGINT, SIGTERM, SIGHUP] + (isTerminal ? [SIGWINCH] : []))
        let received = signals.received
        if isTerminal { Terminal.makeRaw() }
        defer {
            signals.cancel()
            Terminal.restoreAll()
        }
        return try await withThrowingTaskGroup(of: Outcome?.self) { group in
            group.addTask { try await copyOutput() }
            group.addTask { await handle(received) }
            if passesStdin {
                group.addTask {
                    await copyInput()
                    return nil
                }
            }
            defer { group.cancelAll() }
            while let outcome = try await group.next() {
                if let outcome { return outcome }
            }
            return .detached
        }
    }

    private func copyOutput() async throws -> Outcome {
        let output = StandardOutput()
        if isTerminal { try? await stream.resize(columns: Terminal.size.columns, rows: Terminal.size.rows) }
        var hasBegun = false
        var heldError: String?
        do {
            for try await event in stream {
                if let text = heldError { StandardError.say("execbox: \(text)") }
                heldError = nil
                if !hasBegun { await begins() }
                hasBegun = true
                switch event {
                case .stdout(let bytes): try await output.write(bytes, to: STDOUT_FILENO)
                case .stderr(let bytes): try await output.write(bytes, to: STDERR_FILENO)
                case .gap(let count): StandardError.say("execbox: \(count) bytes of output are missing here")
                case .error(let text) where isEndToldByCaller: heldError = text
                case .error(let text): StandardError.say("execbox: \(text)")
                case .exit(let code): return .exited(code)
                }
            }
        } catch is StandardOutput.Closed {
            if case .end(let end) = interruption { try? await end() }
            await stream.detach()
            return .interrupted(128 + SIGPIPE)
        }
        return .detached
    }

    private func copyInput() async {
        let input = StandardInput()
        do {
            while let bytes = await input.read() { try await stream.write(bytes) }
            // Cancelled is not the end of our stdin.
            guard !Task.isCancelled else { return }
            try await stream.closeStdin()
        } catch {
            // The stream has ended, which the output tells better.
        }
    }

    private func handle(_ signals: AsyncStream<Int32>) async -> Outcome? {
        var interrupts = 0
        for await number in signals {
            switch number {
            case SIGWINCH:
                let size = Terminal.size
                try? await stream.resize(columns: size.columns, rows: size.rows)
                continue
            case SIGINT:
                interrupts += 1
                if interrupts == 1 {
                    try? await stream.signal("SIGINT")
                    continue
                }
            default: break
            }
            switch interruption {
            case .end(let end):
                StandardError.say("execbox: ending the command")
                try? await end()
            case .detach: await stream.detach()
            }
            return .interrupted(128 + number)
        }
        return nil
    }
}
