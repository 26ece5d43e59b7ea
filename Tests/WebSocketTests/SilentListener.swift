import NIOCore
import NIOPosix

/// Accepts and says nothing.
struct SilentListener {
    private let channel: any Channel

    var port: Int { channel.localAddress?.port ?? 0 }

    static func start() async throws -> SilentListener {
        SilentListener(
            channel: try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(host: "127.0.0.1", port: 0).get())
    }

    func stop() async throws { try await channel.close() }
}
