/// An Execbox server and a key for it.
///
///     let client = try ExecboxClient(url: "http://127.0.0.1:8080", apiKey: key)
///     let session = try await client.sessions.create(.init(image: "alpine"))
///     let result = try await client.execs.run(in: session.id, .init(command: ["uname", "-a"]))
///
/// Values can be copied and used from any task; there is nothing to shut down.
public struct ExecboxClient: Sendable {
    public let sessions: SessionsClient
    public let execs: ExecsClient

    /// - Parameter url: `http://host:port` or `https://host`, with the path in front of `/v1` if there is one.
    public init(url: String, apiKey: String) throws(ExecboxClientError) {
        let transport = try Transport(url: url, apiKey: apiKey)
        sessions = SessionsClient(transport: transport)
        execs = ExecsClient(transport: transport)
    }
}
