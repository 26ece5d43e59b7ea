import ExecboxModel
import ExecboxSandbox
import Logging
import Synchronization

extension DockerBackend {
    private struct Event: Decodable {
        struct Actor: Decodable { let attributes: [String: String]? }
        let actor: Actor?
    }

    /// A `.resync` comes with every connection to the engine, the first one too, and whenever events had to be dropped.
    package func events() -> AsyncStream<SandboxEvent> {
        let (stream, continuation) = AsyncStream.makeStream(of: SandboxEvent.self, bufferingPolicy: .bufferingNewest(1024))
        // Owned by the stream: it ends with its reader.
        let task = Task { [client, clusterID = configuration.clusterID, logger] in
            var pause = Duration.milliseconds(100)
            while !Task.isCancelled {
                do {
                    try await Self.follow(client, clusterID: clusterID) { event in
                        pause = .milliseconds(100)
                        // The oldest was dropped: nobody knows what it said.
                        if case .dropped = continuation.yield(event) { continuation.yield(.resync) }
                    }
                } catch {
                    logger.debug("the engine's event stream ended", metadata: ["error": "\(error)"])
                }
                do { try await Task.sleep(for: pause) } catch { break }
                pause = min(pause * 2, .seconds(5))
            }
            continuation.finish()
        }
        continuation.onTermination = { _ in task.cancel() }
        return stream
    }

    private static func follow(_ client: DockerClient, clusterID: String, event: (SandboxEvent) -> Void) async throws {
        let filters = try DockerClient.filters([
            "type": ["container"], "event": ["start", "oom", "die", "destroy"],
            "label": ["\(DockerLabel.cluster)=\(clusterID)", DockerLabel.sandbox],
        ])
        try await client.lines("GET", "/events", DockerClient.Query(("filters", filters)), total: nil, idle: nil) {
            event(.resync)
        } line: { bytes in
            guard let decoded = try? DockerJSON.decode(Event.self, from: bytes),
                let id = decoded.actor?.attributes?[DockerLabel.sandbox].flatMap({ SandboxID($0) })
            else { return }
            event(.changed(id))
        }
    }
}
