import AsyncHTTPClient
import ExecboxAPI
import ExecboxWebSocket
import NIOCore
import NIOHTTP1
import NIOPosix

/// One server and one key: requests, decoded answers, errors in one shape.
struct Transport: Sendable {
    /// No answer of this API is longer.
    static let maxBodyBytes = 64 << 20

    /// For all clients of this process and never shut down, so that callers have nothing to shut down either. `HTTPClient.shared` would try to
    /// connect again and again until the request's time is up.
    private static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.timeout.connect = .seconds(10)
        configuration.redirectConfiguration = .disallow
        return HTTPClient(eventLoopGroup: .singletonMultiThreadedEventLoopGroup, configuration: configuration)
    }()

    let base: String
    private let apiKey: String
    let webSocket: WebSocketClient

    init(url: String, apiKey: String) throws(ExecboxClientError) {
        var base = url
        while base.hasSuffix("/") { base.removeLast() }
        guard base.hasPrefix("http://") || base.hasPrefix("https://"), let parsed = WebSocketURL(base), !parsed.target.contains("?") else {
            throw ExecboxClientError(.invalidURL, "\(url) is no http or https address")
        }
        guard !apiKey.isEmpty, apiKey.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw ExecboxClientError(.unauthorized, "the API key is empty or no key")
        }
        self.base = base
        self.apiKey = apiKey
        webSocket = WebSocketClient()
    }

    var authorization: HTTPHeaders { ["Authorization": "Bearer \(apiKey)"] }

    /// A request whose JSON answer is decoded.
    func send<Answer: Decodable>(
        _ method: HTTPMethod, _ path: String, body: (any Encodable)? = nil, headers: HTTPHeaders = [:], timeout: TimeAmount = .seconds(90),
        as _: Answer.Type = Answer.self
    ) async throws -> Answer {
        let response = try await execute(method, path, body: body, headers: headers, timeout: timeout)
        let bytes = try await collect(response)
        do {
            return try Answer.fromJSON(bytes)
        } catch {
            throw ExecboxClientError(
                .invalidResponse, "the server's answer is none of this API: \(error)", status: Int(response.status.code),
                requestID: response.headers.first(name: "X-Request-Id"))
        }
    }

    /// A request whose answer is streamed; answers of 300 and more are thrown.
    func execute(
        _ method: HTTPMethod, _ path: String, body: (any Encodable)? = nil, headers: HTTPHeaders = [:], timeout: TimeAmount = .seconds(90)
    ) async throws -> HTTPClientResponse {
        var request = HTTPClientRequest(url: base + path)
        request.method = method
        request.headers = authorization
        request.headers.add(contentsOf: headers)
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: try body.json()))
        }
        // A kept connection may have been closed under us: reading again is harmless, anything else could happen twice.
        let response = try await attempt(request, timeout: timeout, mayRepeat: method == .GET)
        guard response.status.code < 300 else {
            let retryAfter = response.headers.first(name: "Retry-After").flatMap { Int($0) }
            throw ExecboxClientError(status: Int(response.status.code), body: try await collect(response), retryAfter: retryAfter)
        }
        return response
    }

    private func attempt(_ request: HTTPClientRequest, timeout: TimeAmount, mayRepeat: Bool) async throws -> HTTPClientResponse {
        do {
            return try await Self.http.execute(request, timeout: timeout)
        } catch let error as HTTPClientError where error == .remoteConnectionClosed && mayRepeat {
            return try await attempt(request, timeout: timeout, mayRepeat: false)
        } catch {
            throw try Self.translated(error)
        }
    }

    func collect(_ response: HTTPClientResponse) async throws -> [UInt8] {
        do {
            let body = try await response.body.collect(upTo: Self.maxBodyBytes)
            return Array(body.readableBytesView)
        } catch {
            throw try Self.translated(error)
        }
    }

    /// - Throws: a cancellation as it is.
    static func translated(_ error: any Error) throws -> ExecboxClientError {
        switch error {
        case let error as ExecboxClientError: return error
        case is CancellationError: throw CancellationError()
        case let error as HTTPClientError where error == .cancelled: throw CancellationError()
        case let error as HTTPClientError where [.deadlineExceeded, .readTimeout, .connectTimeout].contains(error):
            return ExecboxClientError(.timedOut, "the server did not answer in time")
        case let error as NIOConnectionError: return ExecboxClientError(.unreachable, "no connection to \(error.host):\(error.port)")
        case let error as IOError where [61, 111].contains(error.errnoCode):
            // ECONNREFUSED on Darwin and Linux.
            return ExecboxClientError(.unreachable, "nobody listens at the server's address")
        case is NIOTooManyBytesError: return ExecboxClientError(.invalidResponse, "the server's answer is too long")
        default: return ExecboxClientError(.unreachable, "the connection to the server failed: \(error)")
        }
    }

    /// Opens a stream route.
    func open(_ path: String) async throws -> (connection: WebSocketConnection, headers: HTTPHeaders) {
        do {
            return try await webSocket.connect(base + path, headers: authorization, subprotocols: ["execbox.v1"])
        } catch {
            try Task.checkCancellation()
            switch error {
            case .invalidURL(let url): throw ExecboxClientError(.invalidURL, "\(url) is no address")
            case .unreachable(let why): throw ExecboxClientError(.unreachable, "no connection to \(base): \(why)")
            case .timedOut: throw ExecboxClientError(.timedOut, "the server did not answer in time")
            case .handshakeFailed(let why): throw ExecboxClientError(.unreachable, "the stream could not be opened: \(why)")
            case .refused(let status, let headers, let body):
                throw ExecboxClientError(status: status, body: body, retryAfter: headers.first(name: "Retry-After").flatMap { Int($0) })
            }
        }
    }
}
