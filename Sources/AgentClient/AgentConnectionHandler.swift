import ExecboxWire
import NIOCore

/// Reads for one connection: into its conversation, and only while there is room.
final class AgentConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let connection: AgentConnection
    private let helloTimeout: TimeAmount
    private var helloTimer: Scheduled<Void>?

    init(connection: AgentConnection, helloTimeout: TimeAmount) {
        self.connection = connection
        self.helloTimeout = helloTimeout
    }

    func channelActive(context: ChannelHandlerContext) {
        helloTimer = context.eventLoop.assumeIsolated().scheduleTask(in: helloTimeout) {
            self.helloTimer = nil
            self.connection.link.connectionWasSilent(self.connection)
        }
        context.read()
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var read = unwrapInboundIn(data)
        // Slices keep the whole of a read alive; a nearly empty one is copied, so that what waits is not much more than it seems.
        if read.storageCapacity > 4 * read.readableBytes + 1024 { read = context.channel.allocator.buffer(buffer: read) }
        switch connection.receive(read) {
        case .none: break
        case .introduce(let hello):
            stopHelloTimer()
            connection.link.introduce(connection, hello)
        case .turnAway(let reason):
            stopHelloTimer()
            connection.link.turnAway(connection, reason)
        case .closeForViolation(let text):
            stopHelloTimer()
            connection.link.connectionBrokeProtocol(connection, text)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if connection.startReading() { context.read() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        stopHelloTimer()
        connection.lost()
        connection.link.connectionEnded(connection)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Whatever it was, the byte stream cannot be trusted any more.
        context.close(promise: nil)
    }

    private func stopHelloTimer() {
        helloTimer?.cancel()
        helloTimer = nil
    }
}
