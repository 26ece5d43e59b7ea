import Logging
import ServiceLifecycle

/// Removes what has had its time, every few minutes; replicas may do it at once.
package struct Sweeper: Service {
    private static let interval = Duration.seconds(300)

    private let tasks: [(name: String, sweep: @Sendable () async throws -> Void)]
    private let log: Logger

    package init(_ tasks: [(name: String, sweep: @Sendable () async throws -> Void)], log: Logger) {
        self.tasks = tasks
        self.log = log
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                try? await Task.sleep(for: Self.interval)
                for task in tasks where !Task.isCancelled {
                    do {
                        try await task.sweep()
                    } catch {
                        log.debug("Sweeping failed", metadata: ["what": "\(task.name)", "error": "\(error)"])
                    }
                }
            }
        }
    }
}
