import ExecboxAPI
import ExecboxModel
import ExecboxServer
import ExecboxWebSocket
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle

/// A small server with the upgrade under test: `/health`, `/v1/echo` behind a key, `/v1/missing`.
enum UpgradeServer {
    struct Context: UpgradableRequestContext {
        var coreContext: CoreRequestContextStorage
        let upgrade = UpgradeSlot()
        init(source: Source) { coreContext = .init(source: source) }
    }

    /// The one mapping of errors, as the real server has it.
    private struct Errors: RouterMiddleware {
        func handle(_ request: Request, context: Context, next: (Request, Context) async throws -> Response) async throws -> Response {
            do {
                return try await next(request, context)
            } catch let error as ExecboxError {
                let (status, code): (HTTPResponse.Status, String) =
                    switch error.code {
                    case .upgradeRequired: (.upgradeRequired, "UPGRADE_REQUIRED")
                    case .unauthenticated: (.unauthorized, "UNAUTHORIZED")
                    default: (.notFound, "NOT_FOUND")
                    }
                return Self.response(status, code, error.message)
            } catch let error as HTTPError {
                return Self.response(error.status, "NOT_FOUND", "no such route")
            }
        }

        static func response(_ status: HTTPResponse.Status, _ code: String, _ message: String) -> Response {
            let json = (try? ErrorBody(error: message, code: code, requestID: "r").json()) ?? []
            return Response(status: status, headers: [.contentType: "application/json"], body: .init(byteBuffer: ByteBuffer(bytes: json)))
        }
    }

    private struct Key: RouterMiddleware {
        func handle(_ request: Request, context: Context, next: (Request, Context) async throws -> Response) async throws -> Response {
            guard request.headers[.authorization] == "Bearer good" else { throw ExecboxError(.unauthenticated, "a key is needed") }
            return try await next(request, context)
        }
    }

    private struct Failure: Error {}
    private struct NoAnswer: Error {}

    struct Running: Sendable {
        let port: Int
        let shutDown: @Sendable () async -> Void
    }

    static func with<Answer: Sendable>(
        options: HTTPConnectionOptions = .init(), _ body: @escaping @Sendable (Running) async throws -> Answer
    ) async throws -> Answer {
        let router = Router(context: Context.self)
        router.add(middleware: Errors())
        router.get("health") { _, _ in "ok" }
        router.group("v1").add(middleware: Key())
            .get("who") { _, _ in "me" }
            .webSocket("echo") { request, _ in
                WebSocketAnswer(
                    subprotocol: request.offeredSubprotocols.first { $0 == "execbox.v1" }, headers: [.init("X-Test") ?? .server: "yes"]
                ) { connection in
                    for await message in connection.messages {
                        if case .binary(let data) = message { try await connection.send(binary: data) }
                        if case .text(let text) = message {
                            if text == "throw" { throw Failure() }
                            if text == "return" { return }
                        }
                    }
                }
            }
            .webSocket("missing") { _, _ in throw ExecboxError(.notFound, "no such session") }
        let responder = router.buildResponder()
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let (ports, portContinuation) = AsyncStream.makeStream(of: Int.self, bufferingPolicy: .bufferingNewest(1))
        let application = Application(
            responder: responder, server: .http1WithStreams(responder, options: options),
            configuration: .init(address: .hostname("127.0.0.1", port: 0)),
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
                let answer = try await body(Running(port: port) { await services.triggerGracefulShutdown() })
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
