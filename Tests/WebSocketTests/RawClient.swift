import NIOCore
import NIOPosix
import Synchronization

/// A TCP connection that says exactly what a test wants.
struct RawClient: Sendable {
    private let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>

    /// Everything the server says after `sending`, until it closes or `until` is satisfied.
    static func exchange(
        port: Int, _ sending: [ByteBuffer], until: @escaping @Sendable (String) -> Bool = { _ in false }
    ) async throws -> String {
        try await with(port: port) { client in
            // A server that has closed already is told by what it said before.
            for bytes in sending { _ = try? await client.send(bytes) }
            return try await client.read(until: until)
        }
    }

    static func with<Answer: Sendable>(
        port: Int, _ body: @Sendable (inout Open) async throws -> Answer
    ) async throws -> Answer {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel) }
            }
        // The server may have closed by itself, which makes closing fail though the body has its answer.
        let answer = Mutex<Answer?>(nil)
        do {
            try await channel.executeThenClose { inbound, outbound in
                var open = Open(iterator: inbound.makeAsyncIterator(), outbound: outbound)
                let result = try await body(&open)
                answer.withLock { $0 = result }
            }
        } catch {
            guard answer.withLock({ $0 != nil }) else { throw error }
        }
        guard let answer = answer.withLock({ $0 }) else { throw ChannelError.eof }
        return answer
    }

    struct Open {
        var iterator: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
        let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
        private(set) var bytes: [UInt8] = []

        init(iterator: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator, outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>) {
            self.iterator = iterator
            self.outbound = outbound
        }

        func send(_ bytes: ByteBuffer) async throws { try await outbound.write(bytes) }

        /// Bytes as Latin-1, so that frames can be looked at too.
        mutating func read(until: (String) -> Bool) async throws -> String {
            while true {
                let text = String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
                if until(text) { return text }
                // A reset is an end too.
                guard let next = try? await iterator.next() else { return text }
                bytes += next.readableBytesView
            }
        }
    }
}
