import ExecboxWebSocket
import NIOCore
import NIOHTTP1
import NIOPosix

/// A server that hands every connection to a closure, and a client connected to it, over a real socket.
enum SocketPair {
    private enum Outcome: Sendable {
        case open(WebSocketConnection)
        case refused
    }

    static func with<Answer: Sendable>(
        serverOptions: WebSocketOptions = .init(), clientOptions: WebSocketOptions = .init(),
        server: @escaping @Sendable (WebSocketConnection) async throws -> Void,
        client: @Sendable (WebSocketConnection) async throws -> Answer
    ) async throws -> Answer {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let upgrader = WebSocketServerUpgrader<Outcome>(
                        shouldUpgrade: { channel, _ in channel.eventLoop.makeSucceededFuture([:]) },
                        upgraded: { .open(try WebSocketConnection.install(on: $0, role: .server, options: serverOptions)) })
                    return try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
                        configuration: .init(
                            upgradeConfiguration: .init(
                                upgraders: [upgrader],
                                notUpgradingCompletionHandler: { $0.eventLoop.makeSucceededFuture(.refused) })))
                }
            }
        let port = listener.channel.localAddress?.port ?? 0
        return try await listener.executeThenClose { inbound in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for try await outcome in inbound {
                        guard case .open(let connection) = try await outcome.get() else { continue }
                        try await server(connection)
                        await connection.close()
                        return
                    }
                }
                let (connection, _) = try await WebSocketClient(options: clientOptions).connect("ws://127.0.0.1:\(port)/")
                let answer = try await client(connection)
                await connection.close()
                try await group.waitForAll()
                return answer
            }
        }
    }
}
