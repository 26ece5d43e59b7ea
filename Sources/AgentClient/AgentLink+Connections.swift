import ExecboxSandbox
import ExecboxWire
import Glibc
import Logging
import NIOCore
import NIOPosix

/// How connections come to be: the agent dials a socket of ours, or we dial the agent. Their events arrive on event loops.
extension AgentLink {
    /// Longer paths do not fit into a socket address.
    private static let maxSocketPathLength = 107
    private static let listenBacklog: Int32 = 32
    private static let maxConnectTime = TimeAmount.seconds(3)
    /// Idle connections need little; busy streams get their bytes in few pieces.
    private static let readBuffer = AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 4096, maximum: 256 * 1024)

    /// Urgent bytes are bytes like others. Without this Linux reports a socket readable that has nothing to read: a hostile agent could
    /// bring down a debug build, where NIO asserts that this does not happen.
    private static let urgentBytesInline = ChannelOptions.Types.SocketOption(
        level: .socket,
        name: NIOBSDSocket.Option(rawValue: SO_OOBINLINE)
    )

    // MARK: The agent dials

    /// Makes the socket that the agent dials. Called once; `waitUntilListening` has the outcome.
    func listen() async {
        guard let predecessor = pool.update({ $0.beginListening() }) else { return }
        // It has the same path: its socket must be gone before ours is bound.
        await predecessor.link?.close()
        guard case .dialOut(let directory, _) = transport else {
            return pool.update { $0.listening(.success(nil)) }
        }
        let path = "\(directory)/\(serverID).sock"
        guard path.utf8.count <= Self.maxSocketPathLength else {
            return pool.update { $0.listening(.failure(.cannotListen("\(path) is longer than \(Self.maxSocketPathLength) bytes"))) }
        }
        do {
            let channel = try await bind(path).get()
            chmod(path, S_IRUSR | S_IWUSR)
            pool.update { $0.listening(.success(channel)) }
            acceptIfReady()
        } catch {
            pool.update { $0.listening(.failure(.cannotListen("\(path): \(error)"))) }
        }
    }

    func waitUntilListening() async throws(AgentLinkError) {
        try await pool.wait { $0.listeningResult }
    }

    /// What is now known of the agent, too.
    ///
    /// - Returns: false if `transport` is another one than this link's.
    func complete(_ transport: AgentTransport) -> Bool {
        guard pool.update({ $0.complete(transport) }) else { return false }
        acceptIfReady()
        return true
    }

    /// Until the agent's pid is known whoever dials waits in the socket's backlog: the kernel has noted its pid.
    private func acceptIfReady() {
        guard let listener = pool.read(\.readyListener) else { return }
        // It fails only on a channel that is closed.
        listener.setOption(.autoRead, value: true).whenFailure { _ in }
    }

    private func bind(_ path: String) -> EventLoopFuture<any Channel> {
        let acceptsPerSecond = limits.acceptsPerSecond
        return ServerBootstrap(group: eventLoopGroup)
            .serverChannelOption(.backlog, value: Self.listenBacklog)
            .serverChannelOption(.maxMessagesPerRead, value: 4)
            .serverChannelOption(.autoRead, value: false)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptGate(perSecond: acceptsPerSecond))
                }
            }
            .childChannelOption(Self.urgentBytesInline, value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.recvAllocator, value: Self.readBuffer)
            .childChannelInitializer { channel in
                Self.peerPID(of: channel).flatMapThrowing { pid in
                    guard case .dialOut(_, let peerPID) = self.transport, pid == peerPID else {
                        self.complain("a process that is not the agent was turned away", ["pid": "\(pid)"]) { $0.wrongPeers += 1 }
                        throw AgentLinkError.notConnected
                    }
                    try self.addConnection(on: channel, isDialed: false)
                }
            }
            .bind(unixDomainSocketPath: path)
    }

    /// Who made the connection, as the kernel saw it then: `struct ucred`, which Glibc's module leaves out, is pid, uid and gid.
    private static func peerPID(of channel: any Channel) -> EventLoopFuture<Int32> {
        guard let options = channel as? any SocketOptionProvider else {
            return channel.eventLoop.makeFailedFuture(AgentLinkError.notConnected)
        }
        let credentials: EventLoopFuture<(Int32, UInt32, UInt32)> = options.unsafeGetSocketOption(
            level: .socket,
            name: NIOBSDSocket.Option(rawValue: SO_PEERCRED)
        )
        return credentials.map { $0.0 }
    }

    // MARK: We dial

    /// Dials until a connection stands and the secret is on its way.
    func dial(
        _ host: String,
        _ port: Int,
        _ secret: [UInt8],
        until deadline: NIODeadline
    ) async throws(AgentLinkError) {
        let greeting = ByteBuffer(bytes: AgentMessage.secret(secret).bytes)
        var pause = Duration.milliseconds(100)
        while true {
            do {
                let channel = try await ClientBootstrap(group: eventLoopGroup)
                    .connectTimeout(min(Self.maxConnectTime, deadline - .now()))
                    .channelOption(Self.urgentBytesInline, value: 1)
                    .channelOption(.autoRead, value: false)
                    .channelOption(.maxMessagesPerRead, value: 1)
                    .channelOption(.recvAllocator, value: Self.readBuffer)
                    .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                    .channelInitializer { channel in
                        channel.eventLoop.makeCompletedFuture { try self.addConnection(on: channel, isDialed: true) }
                    }
                    .connect(host: host, port: port).get()
                channel.writeAndFlush(greeting, promise: nil)
                return
            } catch {
                guard !isClosed else { throw .closed }
                // The agent may not listen yet: the machine has just been started.
                let left = Duration.nanoseconds((deadline - .now()).nanoseconds)
                guard left > .zero else { throw .timeout }
                do { try await Task.sleep(for: min(pause, left)) } catch { throw .cancelled }
                pause = min(pause * 2, .seconds(1))
            }
        }
    }

    // MARK: Events of connections

    private func addConnection(on channel: any Channel, isDialed: Bool) throws {
        let connection = AgentConnection(link: self, channel: channel, isDialed: isDialed)
        guard pool.update({ $0.add(connection, isDialed: isDialed) }) else { throw AgentLinkError.closed }
        try channel.pipeline.syncOperations.addHandler(
            AgentConnectionHandler(connection: connection, helloTimeout: TimeAmount(bounded: limits.helloTimeout))
        )
    }

    func introduce(_ connection: AgentConnection, _ hello: Hello) {
        guard let reason = pool.update({ $0.introduce(connection, hello) }) else { return }
        if reason == .otherBoot { complain("an agent with another boot id was turned away", [:]) { $0.refused += 1 } }
        connection.close(reason)
    }

    func turnAway(_ connection: AgentConnection, _ reason: AgentLinkError) {
        pool.update { $0.turnAway(reason) }
        complain("an agent was turned away", ["reason": "\(reason)"]) { $0.refused += 1 }
        connection.close(reason)
    }

    func connectionWasSilent(_ connection: AgentConnection) {
        complain("a connection without a hello was closed", [:]) { $0.silent += 1 }
        connection.close(.timeout)
    }

    func connectionBrokeProtocol(_ connection: AgentConnection, _ text: String) {
        complain("an agent broke the protocol", ["violation": "\(text)"]) { $0.violations += 1 }
        connection.close(.protocolViolation(text))
    }

    func connectionEnded(_ connection: AgentConnection) {
        pool.update { $0.remove(connection) }
    }

    private func complain(_ text: Logger.Message, _ metadata: Logger.Metadata, count: @Sendable (inout AgentLinkCounters) -> Void) {
        let times = pool.update { pool in
            count(&pool.counters)
            return pool.complain(at: .now())
        }
        guard let times else { return }
        logger.warning(text, metadata: metadata.merging(["since_last_line": "\(times)"]) { own, _ in own })
    }

    // MARK: The end

    /// Closes everything, and returns once it is closed; a second call waits for the first.
    func close() async {
        guard let rest = pool.update({ $0.close() }) else {
            return await pool.waitRegardless { $0.isFinished }
        }
        for connection in rest.connections { connection.close(.closed) }
        await rest.predecessor?.close()
        await pool.waitRegardless { !$0.isBinding }
        if let listener = pool.update({ $0.takeListener() }) {
            _ = try? await listener.close().get()
            // The folder may be gone already, with the sandbox.
            if case .dialOut(let directory, _) = transport { unlink("\(directory)/\(serverID).sock") }
        }
        for connection in rest.connections { await connection.closeAndWait(.closed) }
        pool.update { $0.finished() }
    }
}
