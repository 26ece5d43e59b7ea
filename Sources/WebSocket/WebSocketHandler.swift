import NIOCore
import NIOWebSocket
import Synchronization

/// The connection's half on the event loop: reads frames behind NIO's decoder, writes bytes, keeps the times, closes.
final class WebSocketHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        case open
        /// Our close frame is written; what arrives is drained until the peer closes too.
        case closeSent
        case closed
    }

    /// At most so much is handed to the channel before its writability is looked at again.
    private static let flushBytes = 256 * 1024

    private let options: WebSocketOptions
    private let inbox: Inbox
    private let outbox: Outbox
    private let setEnd: @Sendable (WebSocketEnd) -> Void
    private var receiver: FrameReceiver
    private var batch: FrameBatch
    private var phase = Phase.open
    private var context: ChannelHandlerContext?
    private var isFlushing = false
    private var isReadPending = false
    private var pendingPong: ByteBuffer?
    private var lastReceived = NIODeadline.now()
    private var pingNumber: UInt64 = 0
    /// When the first ping was written that nothing has been received after.
    private var unansweredPing: NIODeadline?
    private var pingTask: Scheduled<Void>?
    private var silenceTask: Scheduled<Void>?
    private var closeTask: Scheduled<Void>?

    init(
        role: WebSocketRole, options: WebSocketOptions, allocator: ByteBufferAllocator, inbox: Inbox, outbox: Outbox,
        setEnd: @escaping @Sendable (WebSocketEnd) -> Void
    ) {
        self.options = options
        self.inbox = inbox
        self.outbox = outbox
        self.setEnd = setEnd
        receiver = FrameReceiver(role: role, maxMessageBytes: options.maxMessageBytes)
        batch = FrameBatch(role: role, allocator: allocator)
    }

    // MARK: Life

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        lastReceived = context.eventLoop.now
        schedulePing(context)
        watchSilence(context, after: options.silenceTimeout)
        if !context.channel.isActive { end(.lost("the connection was closed during the handshake")) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end(.lost("the handler was removed"))
        self.context = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(.lost("the peer ended the connection without a close frame"))
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed: drop(.lost("the peer ended the connection without a close frame"))
        case is ChannelShouldQuiesceEvent: quiesce()
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case NIOWebSocketError.invalidFrameLength: violation(.tooBig, "messages may have up to \(options.maxMessageBytes) bytes")
        case is NIOWebSocketError: violation(.protocolError, "a malformed control frame")
        // The decoder's echo of an error that is already dealt with.
        case is ByteToMessageDecoderError: break
        default: drop(.lost("\(error)"))
        }
    }

    /// Records the end and lets go of everything that waits; the first cause stands.
    private func end(_ cause: WebSocketEnd) {
        guard phase != .closed else { return }
        phase = .closed
        pingTask?.cancel()
        silenceTask?.cancel()
        closeTask?.cancel()
        setEnd(cause)
        outbox.finish()
        inbox.finish()
    }

    private func drop(_ cause: WebSocketEnd) {
        end(cause)
        context?.close(promise: nil)
    }

    // MARK: Times

    private func schedulePing(_ context: ChannelHandlerContext) {
        guard options.pingInterval > .zero else { return }
        pingTask = context.eventLoop.assumeIsolated().scheduleTask(in: options.pingInterval) { [weak self] in
            guard let self, phase == .open, let context = self.context else { return }
            ping()
            schedulePing(context)
        }
    }

    private func ping() {
        // Behind a full socket a ping says nothing, and more of them would only pile up.
        guard phase == .open, let context, context.channel.isWritable else { return }
        pingNumber += 1
        if unansweredPing == nil { unansweredPing = context.eventLoop.now }
        batch.append(.ping, ByteBuffer(integer: pingNumber))
        flush()
    }

    private func watchSilence(_ context: ChannelHandlerContext, after delay: TimeAmount) {
        guard options.silenceTimeout > .zero else { return }
        silenceTask = context.eventLoop.assumeIsolated().scheduleTask(in: delay) { [weak self] in self?.checkSilence() }
    }

    private func checkSilence() {
        guard phase != .closed, let context else { return }
        let now = context.eventLoop.now
        // While we do not read we cannot hear.
        if inbox.isFull { heard(at: now) }
        var due = lastReceived + options.silenceTimeout
        // A peer that could not be asked, because its socket was full, owes no answer either.
        if options.pingInterval > .zero { due = max(due, (unansweredPing ?? now) + options.silenceTimeout - options.pingInterval) }
        guard due > now else { return drop(.lost("nothing was received for \(options.silenceTimeout.nanoseconds / 1_000_000_000) s")) }
        watchSilence(context, after: due - now)
    }

    private func heard(at time: NIODeadline) {
        lastReceived = time
        unansweredPing = nil
    }

    private func startCloseDeadline() {
        guard closeTask == nil, let context else { return }
        closeTask = context.eventLoop.assumeIsolated().scheduleTask(in: options.closeTimeout) { [weak self] in
            self?.drop(.lost("the peer did not close in time"))
        }
    }

    // MARK: In

    func read(context: ChannelHandlerContext) {
        guard inbox.isFull else { return context.read() }
        isReadPending = true
    }

    /// The consumer has made room.
    func resumeReading() {
        guard let context, isReadPending, !inbox.isFull else { return }
        isReadPending = false
        heard(at: context.eventLoop.now)
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        heard(at: context.eventLoop.now)
        switch receiver.receive(Self.unwrapInboundIn(data)) {
        case .none, .pong: break
        case .message(let message):
            if phase == .open { _ = inbox.push(message) }
        case .ping(let payload):
            // Only the latest needs an answer (RFC 6455 §5.5.3), so a flood of pings queues one pong.
            guard phase == .open else { break }
            pendingPong = payload
            flush()
        case .close(let code, let reason): peerClosed(code, reason)
        case .violation(let code, let reason): violation(code, reason)
        }
    }

    private func peerClosed(_ code: WebSocketCloseCode, _ reason: String) {
        switch phase {
        case .closed: break
        case .closeSent:
            // The answer to ours: the handshake is done.
            drop(.lost("closed"))
        case .open:
            setEnd(.closedByPeer(code, reason: reason))
            // The peer takes nothing any more: what is queued is dropped and its code goes back.
            _ = outbox.requestClose(.init(code: code, reason: ""), discardingQueued: true)
            inbox.finish()
            writeClose(code, "")
            resumeReading()
            endAfterAnswer()
        }
    }

    /// Both close frames are out. The server ends TCP first (RFC 6455 §7.1.1); a client waits for that.
    private func endAfterAnswer() {
        guard receiver.role == .server, let context else { return }
        let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer())).whenComplete { _ in handler.value.drop(.lost("closed")) }
    }

    private func violation(_ code: WebSocketCloseCode, _ reason: String) {
        guard phase == .open else { return }
        setEnd(.closedByUs(code, reason: reason))
        _ = outbox.requestClose(.init(code: code, reason: reason), discardingQueued: true)
        inbox.finish()
        writeClose(code, reason)
        resumeReading()
    }

    // MARK: Out

    /// The server that accepted this connection is shutting down.
    private func quiesce() {
        guard outbox.requestClose(.init(code: .goingAway, reason: "server is shutting down"), discardingQueued: true) else { return }
        setEnd(.closedByUs(.goingAway, reason: "server is shutting down"))
        inbox.finish()
        closeRequested(hasDeadline: true)
    }

    /// The close that was asked for may discard what is queued; then it has a deadline even if it cannot be written.
    func closeRequested(hasDeadline: Bool) {
        guard phase == .open else { return }
        if hasDeadline { startCloseDeadline() }
        flush()
        // Nothing may be waiting for a reader's room any more: the drain needs reading on.
        resumeReading()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { flush() }
        context.fireChannelWritabilityChanged()
    }

    /// Writes what is queued as long as the channel takes it.
    func flush() {
        // Flushing can make the channel writable at once, which calls us again.
        guard phase == .open, !isFlushing, let context else { return }
        isFlushing = true
        defer { isFlushing = false }
        while context.channel.isWritable, phase == .open {
            if let pong = pendingPong {
                pendingPong = nil
                batch.append(.pong, pong)
            }
            let messages = outbox.take(upTo: Self.flushBytes)
            let hint = messages.reduce(0) { $0 + $1.payload.readableBytes }
            for message in messages { batch.append(message.opcode, message.payload, hint: hint) }
            guard batch.byteCount > 0 else { break }
            for buffer in batch.take() { context.write(Self.wrapOutboundOut(buffer), promise: nil) }
            context.flush()
        }
        if context.channel.isWritable, phase == .open, let close = outbox.requestedClose { writeClose(close.code, close.reason) }
    }

    private func writeClose(_ code: WebSocketCloseCode, _ reason: String) {
        guard phase == .open, let context else { return }
        phase = .closeSent
        pingTask?.cancel()
        var payload = ByteBuffer()
        if code.isSendable {
            payload.writeInteger(code.rawValue)
            payload.writeString(Self.cut(reason))
        }
        batch.append(.connectionClose, payload)
        for buffer in batch.take() { context.write(Self.wrapOutboundOut(buffer), promise: nil) }
        context.flush()
        startCloseDeadline()
    }

    /// A control frame has room for 123 bytes behind the code.
    private static func cut(_ reason: String) -> String {
        var text = ""
        var count = 0
        for scalar in reason.unicodeScalars {
            count += UTF8.width(scalar)
            guard count <= 123 else { break }
            text.unicodeScalars.append(scalar)
        }
        return text
    }
}
