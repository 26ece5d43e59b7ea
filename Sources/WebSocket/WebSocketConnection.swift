import NIOCore
import NIOWebSocket
import Synchronization

/// An open WebSocket: whole messages in and out with back-pressure both ways; pings and the close handshake happen by themselves.
///
/// Whoever holds it must bring it to its end with `close`. Reading is for one task, sending for any number of them.
package final class WebSocketConnection: Sendable {
    package let channel: any Channel
    /// What both sides agreed on; nil for none.
    package let subprotocol: String?
    private let inbox: Inbox
    private let outbox: Outbox
    private let handler: NIOLoopBound<WebSocketHandler>
    private let ending: EndRecord

    private init(channel: any Channel, subprotocol: String?, inbox: Inbox, outbox: Outbox, handler: WebSocketHandler, ending: EndRecord) {
        self.channel = channel
        self.subprotocol = subprotocol
        self.inbox = inbox
        self.outbox = outbox
        self.handler = NIOLoopBound(handler, eventLoop: channel.eventLoop)
        self.ending = ending
    }

    /// Makes a connection of a channel from which the upgrade has removed the HTTP handlers. To be called on its event loop.
    package static func install(
        on channel: any Channel, role: WebSocketRole, subprotocol: String? = nil, options: WebSocketOptions = .init()
    ) throws -> WebSocketConnection {
        let inbox = Inbox(maxBytes: options.maxInboxBytes, maxMessages: options.maxInboxMessages)
        let outbox = Outbox(maxBytes: options.maxOutboxBytes)
        let ending = EndRecord()
        let handler = WebSocketHandler(
            role: role, options: options, allocator: channel.allocator, inbox: inbox, outbox: outbox, setEnd: ending.set)
        let connection = WebSocketConnection(
            channel: channel, subprotocol: subprotocol, inbox: inbox, outbox: outbox, handler: handler, ending: ending)
        // A fragment may be as long as a message; the sum is held by `FrameReceiver`.
        let decoder = ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: max(options.maxMessageBytes, 125)))
        try channel.pipeline.syncOperations.addHandler(decoder)
        try channel.pipeline.syncOperations.addHandler(handler)
        return connection
    }

    // MARK: In

    /// The next message; nil once the connection ends, whatever the reason (`end` knows it), or the task is cancelled.
    package func receive() async -> WebSocketMessage? {
        await inbox.next { channel.eventLoop.execute { self.handler.value.resumeReading() } }
    }

    /// All messages to come, as `receive` gives them; for one iterator.
    package var messages: Messages { Messages(connection: self) }

    package struct Messages: AsyncSequence, Sendable {
        package typealias Element = WebSocketMessage
        package typealias Failure = Never
        fileprivate let connection: WebSocketConnection

        package struct AsyncIterator: AsyncIteratorProtocol {
            fileprivate let connection: WebSocketConnection
            package func next() async -> WebSocketMessage? { await connection.receive() }
            package func next(isolation actor: isolated (any Actor)?) async -> WebSocketMessage? { await connection.receive() }
        }

        package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(connection: connection) }
    }

    // MARK: Out

    /// Queues a binary message, and returns when there is room for another one.
    ///
    /// - Throws: `WebSocketError.closed` or a cancellation; the message may then have been sent or not.
    package func send(binary payload: ByteBuffer) async throws {
        try await send(CollectionOfOne(Outbox.Outgoing(opcode: .binary, payload: payload)))
    }

    /// Queues several binary messages at once, each a message of its own.
    package func send(binary payloads: some Sequence<ByteBuffer>) async throws {
        try await send(payloads.map { Outbox.Outgoing(opcode: .binary, payload: $0) })
    }

    package func send(text: String) async throws {
        try await send(CollectionOfOne(Outbox.Outgoing(opcode: .text, payload: ByteBuffer(string: text))))
    }

    private func send(_ messages: some Sequence<Outbox.Outgoing>) async throws {
        let queued = try outbox.push(messages)
        if queued.needsFlush { channel.eventLoop.execute { self.handler.value.flush() } }
        if queued.mustWait { try await outbox.waitForRoom() }
    }

    // MARK: End

    /// How it ended; nil while it is open. `closedByUs` from the moment `close` is asked for.
    package var end: WebSocketEnd? { ending.value }

    /// 1006 if the connection was lost; nil while it is open.
    package var closeCode: WebSocketCloseCode? { end?.code }

    /// The peer sent the first close frame.
    package var closedByPeer: Bool {
        guard case .closedByPeer = end else { return false }
        return true
    }

    /// Starts the close handshake and returns at once; nothing can be sent afterwards, and `receive` gives nil once what has arrived is read.
    ///
    /// - Parameter discardingQueued: drops what has not been written yet, and gives even a stuck peer only `closeTimeout`;
    ///   without it the close frame follows what is queued, however long a slow but living peer takes.
    package func beginClose(_ code: WebSocketCloseCode, reason: String = "", discardingQueued: Bool = false) {
        guard outbox.requestClose(.init(code: code, reason: reason), discardingQueued: discardingQueued) else { return }
        ending.set(.closedByUs(code, reason: reason))
        inbox.finish()
        channel.eventLoop.execute { self.handler.value.closeRequested(hasDeadline: discardingQueued) }
    }

    /// Closes and waits until TCP has ended. Cancelling ends it at once, with the close frame if the socket takes it.
    ///
    /// On a connection that is closed or closing already, only waits.
    package func close(_ code: WebSocketCloseCode = .normal, reason: String = "", discardingQueued: Bool = false) async {
        beginClose(code, reason: reason, discardingQueued: discardingQueued)
        await withTaskCancellationHandler {
            try? await channel.closeFuture.get()
        } onCancel: {
            // Behind the flush of the close frame in the loop's queue.
            channel.eventLoop.execute { self.channel.close(promise: nil) }
        }
    }

    /// The first cause stands.
    private final class EndRecord: Sendable {
        private let end = Mutex<WebSocketEnd?>(nil)
        var value: WebSocketEnd? { end.withLock { $0 } }
        func set(_ cause: WebSocketEnd) { end.withLock { if $0 == nil { $0 = cause } } }
    }
}
