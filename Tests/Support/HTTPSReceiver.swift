import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// An https server on loopback with a certificate of its own, which keeps what it gets and answers what it is told.
package final class HTTPSReceiver: Sendable {
    package struct Received: Sendable {
        package var head: HTTPRequestHead
        package var body: [UInt8]
    }

    private struct State {
        var received: [Received] = []
        var answers: [HTTPResponseStatus] = []
        var headers: HTTPHeaders = [:]
    }

    private let state = Mutex(State())
    private let channel: any Channel
    /// What clients have to trust.
    package let certificateFile: String

    /// For as long as `body` runs.
    package static func with<Result: Sendable>(_ body: @Sendable (HTTPSReceiver) async throws -> Result) async throws -> Result {
        let folder = "\(try TestEngine.variable("EXECBOX_TEST_TMP"))/tls-\(TestDatabase.randomName())"
        mkdir(folder, 0o700)
        defer { for name in ["key.pem", "cert.pem", "log", ""] { remove("\(folder)/\(name)") } }
        let (key, certificate) = ("\(folder)/key.pem", "\(folder)/cert.pem")
        let arguments =
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext".split(separator: " ")
            .map(
                String.init) + ["subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out", certificate]
        let pid = try ChildProgram.spawn(["/usr/bin/openssl"] + arguments, environment: ["PATH": "/usr/bin"], output: "\(folder)/log")
        guard ChildProgram.wait(pid) == 0 else { throw ChildProgram.Failure(errno: EINVAL) }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem)))
        configuration.applicationProtocols = ["http/1.1"]
        let context = try NIOSSLContext(configuration: configuration)
        let receiver = Reference()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(receiver: receiver))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let server = HTTPSReceiver(channel: channel, certificateFile: certificate)
        receiver.value.withLock { $0 = server }
        do {
            let result = try await body(server)
            try await channel.close().get()
            return result
        } catch {
            try? await channel.close().get()
            throw error
        }
    }

    private init(channel: any Channel, certificateFile: String) {
        self.channel = channel
        self.certificateFile = certificateFile
    }

    package var url: String { "https://127.0.0.1:\(channel.localAddress?.port ?? 0)/hook?x=1" }
    package var received: [Received] { state.withLock { $0.received } }

    /// What the next requests are answered, one each; those after them 204.
    package func answer(_ answers: HTTPResponseStatus..., headers: HTTPHeaders = [:]) {
        state.withLock { state in
            state.answers = answers
            state.headers = headers
        }
    }

    private func take(_ request: Received) -> (HTTPResponseStatus, HTTPHeaders) {
        state.withLock { state in
            state.received.append(request)
            return (state.answers.isEmpty ? .noContent : state.answers.removeFirst(), state.headers)
        }
    }

    private final class Reference: Sendable {
        let value = Mutex<HTTPSReceiver?>(nil)
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let receiver: Reference
        private var head: HTTPRequestHead?
        private var body: [UInt8] = []

        init(receiver: Reference) { self.receiver = receiver }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head):
                self.head = head
                body = []
            case .body(let bytes): body += Array(bytes.readableBytesView)
            case .end:
                guard let head, let receiver = receiver.value.withLock({ $0 }) else { return context.close(promise: nil) }
                var (status, headers) = receiver.take(Received(head: head, body: body))
                headers.add(name: "content-length", value: "0")
                let answer = HTTPResponseHead(version: head.version, status: status, headers: headers)
                context.write(wrapOutboundOut(.head(answer)), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
