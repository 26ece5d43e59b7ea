import ExecboxCurl
import ExecboxSandbox
import FoundationEssentials
import Synchronization

/// The Docker Engine API over a Unix socket: one function a call, each with a deadline, nothing decided here.
///
/// The API version is negotiated with the first call and again after the engine was away.
struct DockerClient: Sendable {
    static let oldestVersion = DockerVersion(major: 1, minor: 41)
    static let newestVersion = DockerVersion(major: 1, minor: 47)

    private final class Negotiation: Sendable {
        let version = Mutex<DockerVersion?>(nil)
    }

    let socketPath: String
    let deadlines: DockerConfiguration.Deadlines
    private let curl: CurlClient
    private let negotiation = Negotiation()

    init(socketPath: String, deadlines: DockerConfiguration.Deadlines, curl: CurlClient) {
        self.socketPath = socketPath
        self.deadlines = deadlines
        self.curl = curl
    }

    struct Query: Sendable {
        var items: [(String, String)]
        init(_ items: (String, String)...) { self.items = items }

        var text: String {
            items.isEmpty ? "" : "?" + items.map { "\(DockerClient.escape($0.0))=\(DockerClient.escape($0.1))" }.joined(separator: "&")
        }
    }

    /// Whatever the engine answers; only trouble on the way throws.
    func call(
        _ method: String, _ path: String, _ query: Query = Query(), headers: [CurlHeader] = [], body: CurlRequest.Body = .none,
        deadline: Duration? = nil
    ) async throws(BackendError) -> CurlResponse {
        let request = try await request(method, path, query, headers: headers, body: body, total: deadline ?? deadlines.query)
        do {
            return try await curl.send(request, maximumBodyBytes: 32 * 1024 * 1024)
        } catch {
            throw unavailable(error)
        }
    }

    /// As `call`, but an answer of 400 or more is thrown as `DockerFailure`; everything else as `BackendError`.
    func checked(
        _ method: String, _ path: String, _ query: Query = Query(), headers: [CurlHeader] = [], body: CurlRequest.Body = .none,
        deadline: Duration? = nil
    ) async throws -> CurlResponse {
        let response = try await call(method, path, query, headers: headers, body: body, deadline: deadline)
        guard response.status < 400 else { throw Self.failure(response.status, response.body) }
        return response
    }

    /// As `checked`, with JSON both ways.
    func exchange<Answer: Decodable>(
        _ method: String, _ path: String, _ query: Query = Query(), json: (any Encodable & Sendable)? = nil, deadline: Duration? = nil,
        as type: Answer.Type
    ) async throws -> Answer {
        let response = try await checked(method, path, query, headers: Self.jsonHeaders, body: Self.body(json), deadline: deadline)
        do {
            return try DockerJSON.decode(type, from: response.body)
        } catch {
            throw BackendError.internal("Docker's answer to \(method) \(path) is not understood: \(error)")
        }
    }

    /// Hands each line of an answer that goes on for long to `line`, without its line end. Lines over 1 MiB end the stream.
    func lines(
        _ method: String, _ path: String, _ query: Query, headers: [CurlHeader] = [], total: Duration?, idle: Duration?,
        started: () -> Void = {}, line: ([UInt8]) async throws -> Void
    ) async throws {
        let request = try await request(method, path, query, headers: headers, body: .none, total: total, idle: idle)
        do {
            try await curl.withResponse(to: request) { response in
                guard response.status < 400 else {
                    throw Self.failure(response.status, try await response.collect(upTo: 1024 * 1024))
                }
                started()
                var pending: [UInt8] = []
                for try await chunk in response.body {
                    pending.append(contentsOf: chunk)
                    while let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                        var text = Array(pending[..<end])
                        pending.removeSubrange(...end)
                        if text.last == UInt8(ascii: "\r") { text.removeLast() }
                        if !text.isEmpty { try await line(text) }
                    }
                    guard pending.count <= 1024 * 1024 else { throw BackendError.internal("Docker sent a line without end") }
                }
                if !pending.isEmpty { try await line(pending) }
            }
        } catch let error as CurlError {
            throw unavailable(error)
        }
    }

    static func body(_ json: (any Encodable & Sendable)?) throws -> CurlRequest.Body {
        guard let json else { return .none }
        return .bytes(try DockerJSON.encode(json))
    }

    static let jsonHeaders = [CurlHeader("Content-Type", "application/json")]

    // MARK: Versions

    /// Asks the engine whether it is there.
    func ping() async throws(BackendError) {
        _ = try await negotiate()
    }

    private func negotiate() async throws(BackendError) -> DockerVersion {
        let request = CurlRequest(
            url: "http://docker/_ping", unixSocketPath: socketPath,
            timeouts: CurlTimeouts(connect: .seconds(5), total: deadlines.query))
        let response: CurlResponse
        do {
            response = try await curl.send(request, maximumBodyBytes: 64 * 1024)
        } catch {
            throw unavailable(error)
        }
        guard response.status == 200, let theirs = response.headers["Api-Version"].flatMap(DockerVersion.init) else {
            throw .unavailable("what listens on \(socketPath) does not answer like Docker (\(response.status))")
        }
        guard theirs >= Self.oldestVersion else {
            throw .unavailable("Docker on \(socketPath) speaks API \(theirs); at least \(Self.oldestVersion) (Docker 20.10) is needed")
        }
        let version = min(theirs, Self.newestVersion)
        negotiation.version.withLock { $0 = version }
        return version
    }

    private func request(
        _ method: String, _ path: String, _ query: Query, headers: [CurlHeader], body: CurlRequest.Body, total: Duration?,
        idle: Duration? = nil
    ) async throws(BackendError) -> CurlRequest {
        let known = negotiation.version.withLock { $0 }
        let version: DockerVersion
        if let known { version = known } else { version = try await negotiate() }
        return CurlRequest(
            method: method, url: "http://docker/v\(version)\(path)\(query.text)", headers: headers, body: body, unixSocketPath: socketPath,
            timeouts: CurlTimeouts(connect: .seconds(5), total: total, idle: idle))
    }

    private func unavailable(_ error: CurlError) -> BackendError {
        if error.code == .cancelled { return .internal("cancelled") }
        // Another engine may be there next time.
        negotiation.version.withLock { $0 = nil }
        return .unavailable("Docker does not answer on \(socketPath): \(error)")
    }

    static func failure(_ status: Int, _ body: [UInt8]) -> DockerFailure {
        struct Message: Decodable { let message: String }
        // Older engines answer some errors in plain text.
        let text = (try? DockerJSON.decode(Message.self, from: body))?.message ?? String(decoding: body.prefix(2000), as: UTF8.self)
        return DockerFailure(status: status, message: text.trimmedLines)
    }

    /// Percent-encodes all but what is safe in a path and a query alike.
    static func escape(_ text: String) -> String {
        var escaped = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "~"), UInt8(ascii: "/"), UInt8(ascii: ":"),
                UInt8(ascii: "@"):
                escaped.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                escaped += byte < 16 ? "%0\(String(byte, radix: 16, uppercase: true))" : "%\(String(byte, radix: 16, uppercase: true))"
            }
        }
        return escaped
    }
}

extension String {
    /// One line, without blanks at its ends.
    fileprivate var trimmedLines: String {
        split(whereSeparator: \.isNewline).map { $0.split(separator: " ").joined(separator: " ") }.joined(separator: "; ")
    }
}
