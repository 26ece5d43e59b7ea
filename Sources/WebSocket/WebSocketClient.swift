import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOWebSocket

/// Opens WebSockets.
package struct WebSocketClient: Sendable {
    private enum Outcome: Sendable {
        case open(WebSocketConnection)
        case refused(EventLoopFuture<WebSocketClientError>)
    }

    private let group: any EventLoopGroup
    private let tls: TLSConfiguration
    package var options: WebSocketOptions
    /// From the first SYN to the answer's head.
    package var timeout: TimeAmount

    package init(
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton, tls: TLSConfiguration = .makeClientConfiguration(),
        options: WebSocketOptions = .init(), timeout: TimeAmount = .seconds(10)
    ) {
        self.group = group
        self.tls = tls
        self.options = options
        self.timeout = timeout
    }

    /// Opens a connection, which the caller then has to close; cancelling gives it up.
    ///
    /// - Parameter subprotocols: offered in this order; the server's choice is the connection's `subprotocol`.
    /// - Returns: the connection and the headers of the 101.
    package func connect(
        _ url: String, headers: HTTPHeaders = [:], subprotocols: [String] = []
    ) async throws(WebSocketClientError) -> (connection: WebSocketConnection, headers: HTTPHeaders) {
        guard let target = WebSocketURL(url) else { throw .invalidURL(url) }
        let tlsContext: NIOSSLContext?
        do {
            tlsContext = target.isSecure ? try NIOSSLContext(configuration: tls) : nil
        } catch {
            throw .unreachable("TLS: \(error)")
        }
        let attempt = Attempt()
        do {
            return try await withTaskCancellationHandler {
                let (channel, outcome, head) = try await start(target, headers, subprotocols, tlsContext, attempt)
                let deadline = channel.eventLoop.scheduleTask(in: timeout) { attempt.giveUp(.timedOut) }
                defer { deadline.cancel() }
                do {
                    switch try await outcome.get() {
                    case .open(let connection):
                        // A server that chooses what was not offered speaks another protocol (RFC 6455 §4.1).
                        if let chosen = connection.subprotocol, !subprotocols.contains(chosen) {
                            await connection.close(.protocolError)
                            throw WebSocketClientError.handshakeFailed("the server chose the subprotocol \(chosen), which was not offered")
                        }
                        return (connection, try await head.get())
                    case .refused(let answer): throw try await answer.get()
                    }
                } catch {
                    channel.close(promise: nil)
                    throw attempt.cause ?? error
                }
            } onCancel: {
                attempt.giveUp(.handshakeFailed("cancelled"))
            }
        } catch let error as WebSocketClientError {
            throw error
        } catch let error as NIOConnectionError {
            throw .unreachable(Self.text(error))
        } catch ChannelError.connectTimeout {
            throw .timedOut
        } catch let error as NIOSSLError {
            throw .unreachable("TLS: \(error)")
        } catch {
            throw .handshakeFailed("\(error)")
        }
    }

    private static func text(_ error: NIOConnectionError) -> String {
        if let failure = error.connectionErrors.first { return "\(failure.error)" }
        return "no address for \(error.host)"
    }

    private func start(
        _ target: WebSocketURL, _ headers: HTTPHeaders, _ subprotocols: [String], _ tlsContext: NIOSSLContext?, _ attempt: Attempt
    ) async throws -> (any Channel, EventLoopFuture<Outcome>, EventLoopFuture<HTTPHeaders>) {
        let options = options
        return try await ClientBootstrap(group: group)
            .connectTimeout(timeout)
            .channelOption(.socketOption(.so_reuseaddr), value: 1)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.writeBufferWaterMark, value: .init(low: 128 * 1024, high: 256 * 1024))
            .connect(host: target.host, port: target.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    attempt.began(channel)
                    if let tlsContext {
                        let isAddress = (try? SocketAddress(ipAddress: target.host, port: 0)) != nil
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: tlsContext, serverHostname: isAddress ? nil : target.host))
                    }
                    var requestHeaders = headers
                    requestHeaders.replaceOrAdd(name: "Host", value: target.authority)
                    if !subprotocols.isEmpty {
                        requestHeaders.replaceOrAdd(name: "Sec-WebSocket-Protocol", value: subprotocols.joined(separator: ", "))
                    }
                    let head = channel.eventLoop.makePromise(of: HTTPHeaders.self)
                    let upgrader = WebSocketClientUpgrader<Outcome> { channel, response in
                        let subprotocol = response.headers.first(name: "Sec-WebSocket-Protocol")
                        let connection = try WebSocketConnection.install(
                            on: channel, role: .client, subprotocol: subprotocol, options: options)
                        head.succeed(response.headers)
                        return .open(connection)
                    }
                    var configuration = NIOUpgradableHTTPClientPipelineConfiguration(
                        upgradeConfiguration: NIOTypedHTTPClientUpgradeConfiguration<Outcome>(
                            upgradeRequestHead: HTTPRequestHead(
                                version: .http1_1, method: .GET, uri: target.target, headers: requestHeaders),
                            upgraders: [upgrader],
                            notUpgradingCompletionHandler: { channel in
                                channel.eventLoop.makeCompletedFuture {
                                    let answer = channel.eventLoop.makePromise(of: WebSocketClientError.self)
                                    try channel.pipeline.syncOperations.addHandler(RefusalCollector(answer: answer))
                                    return .refused(answer.futureResult)
                                }
                            }))
                    // NIO's default drops frames that come in one packet with the 101.
                    configuration.leftOverBytesStrategy = .forwardBytes
                    let outcome = try channel.pipeline.syncOperations.configureUpgradableHTTPClientPipeline(configuration: configuration)
                    // A promise must not be left unfulfilled when no 101 comes.
                    outcome.whenComplete { _ in head.succeed([:]) }
                    channel.closeFuture.whenComplete { _ in head.succeed([:]) }
                    return (channel, outcome, head.futureResult)
                }
            }
    }
}
