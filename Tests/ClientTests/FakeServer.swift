import ExecboxAPI
import ExecboxModel
import ExecboxServer
import ExecboxWebSocket
import ExecboxWire
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization

/// A server that knows one session, `sess_x`, and streams what a test tells it to.
enum FakeServer {
    /// One attach or exec: the how manieth of the test, its parameters, the connection.
    struct Stream: Sendable {
        let number: Int
        let items: [String: [String]]
        let connection: WebSocketConnection

        var offset: Int { items["offset"]?.first.flatMap { Int($0) } ?? 0 }
        var command: [String] { items["cmd"] ?? [] }

        func send(_ frame: Frame) async throws { try await connection.send(binary: ByteBuffer(bytes: frame.bytes)) }

        /// The next frame; nil at the end.
        func receive() async throws -> Frame? {
            guard case .binary(let message) = await connection.receive() else { return nil }
            return try Frame(message.readableBytesView)
        }

        /// As a cut cable would; what is queued may be lost too.
        func lose() async throws { try await connection.channel.close() }
    }

    typealias Script = @Sendable (Stream) async throws -> Void

    struct Context: UpgradableRequestContext {
        var coreContext: CoreRequestContextStorage
        let upgrade = UpgradeSlot()
        init(source: Source) { coreContext = .init(source: source) }
    }

    static let session = SessionBody(
        id: "sess_x", status: .running, image: "alpine", command: ["sh"], env: [], workDir: "/", user: "", labels: [:],
        resources: ResourcesBody(Resources()), backend: "fake", createdAt: Timestamp(unixMicroseconds: 0))

    private static func json(_ body: some Encodable, _ status: HTTPResponse.Status = .ok) throws -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"], body: .init(byteBuffer: ByteBuffer(bytes: try body.json())))
    }

    private static func items(_ request: Request) -> [String: [String]] {
        Dictionary(request.uri.queryParameters.map { (String($0.key), [String($0.value)]) }) { $0 + $1 }
    }

    private static func router(_ script: @escaping Script, refusing: @escaping @Sendable (Int) -> HTTPResponse.Status?) -> Router<Context> {
        let counter = Mutex(0)
        let prepare: @Sendable (Request, Context) async throws -> WebSocketAnswer = { request, _ in
            let number = counter.withLock { counter in
                counter += 1
                return counter
            }
            if let status = refusing(number) { throw HTTPError(status) }
            let items = items(request)
            return WebSocketAnswer(
                subprotocol: request.offeredSubprotocols.first, headers: [.init("X-Execbox-Exec-Id") ?? .server: "exec_1"]
            ) { try await script(Stream(number: number, items: items, connection: $0)) }
        }
        let router = Router(context: Context.self)
        router.group("v1/sessions")
            .post { request, _ in
                var request = request
                let body = try await request.collectBody(upTo: 1 << 20)
                var answer = session
                do throws(ExecboxError) {
                    answer.image = try CreateSessionBody(json: body.readableBytesView).image
                } catch {
                    return try json(
                        ErrorBody(error: error.message, code: "BAD_REQUEST", requestID: "r1", details: error.details), .badRequest)
                }
                return try json(answer, .created)
            }
            .get { _, _ in try json(SessionListBody(sessions: [session], nextCursor: "next")) }
            .get(":id") { _, context in
                guard context.parameters.get("id") == "sess_x" else {
                    return try json(ErrorBody(error: "no such session", code: "NOT_FOUND", requestID: "r2"), .notFound)
                }
                return try json(session)
            }
            .get(":id/stats") { _, _ in Response(status: .badGateway, body: .init(byteBuffer: ByteBuffer(string: "<html>"))) }
            .get(":id/logs") { _, _ in
                Response(
                    status: .ok, headers: [.init("X-Execbox-Next-Offset") ?? .server: "5", .init("X-Execbox-Complete") ?? .server: "true"],
                    body: .init(byteBuffer: ByteBuffer(string: "hello")))
            }
            .delete(":id") { _, _ in try json(StatusBody(status: "killed")) }
            .post(":id/stop") { _, _ in try json(StatusBody(status: "stopped")) }
            .webSocket(":id/attach", prepare: prepare)
            .webSocket(":id/exec", prepare: prepare)
        return router
    }

    private struct NoAnswer: Error {}

    static func with<Answer: Sendable>(
        _ script: @escaping Script = { _ in }, refusing: @escaping @Sendable (Int) -> HTTPResponse.Status? = { _ in nil },
        _ body: @escaping @Sendable (String) async throws -> Answer
    ) async throws -> Answer {
        let responder = router(script, refusing: refusing).buildResponder()
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let (ports, portContinuation) = AsyncStream.makeStream(of: Int.self, bufferingPolicy: .bufferingNewest(1))
        let application = Application(
            responder: responder, server: .http1WithStreams(responder), configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { portContinuation.yield($0.localAddress?.port ?? 0) }, logger: logger)
        let services = ServiceGroup(configuration: .init(services: [application], logger: logger))
        return try await withThrowingTaskGroup(of: Answer?.self) { group in
            group.addTask {
                try await services.run()
                return nil
            }
            group.addTask {
                var iterator = ports.makeAsyncIterator()
                let port = await iterator.next() ?? 0
                let answer = try await body("http://127.0.0.1:\(port)")
                await services.triggerGracefulShutdown()
                return answer
            }
            var answer: Answer?
            while let next = try await group.next() { answer = next ?? answer }
            guard let answer else { throw NoAnswer() }
            return answer
        }
    }
}
