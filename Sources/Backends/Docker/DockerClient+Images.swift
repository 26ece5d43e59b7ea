import ExecboxCurl
import ExecboxSandbox

extension DockerClient {
    struct Image: Decodable, Sendable {
        struct Config: Decodable, Sendable {
            let env: [String]?
            let entrypoint: [String]?
            let cmd: [String]?
            let user: String?
            let workingDir: String?
            let stopSignal: String?
        }

        let id: String
        let os: String
        let architecture: String
        let config: Config?
    }

    /// One line of a pull's or an import's answer.
    struct ProgressLine: Decodable, Sendable {
        struct Detail: Decodable, Sendable {
            let current: Int64?
            let total: Int64?
        }

        struct ErrorDetail: Decodable, Sendable { let message: String? }

        let status: String?
        let id: String?
        let progressDetail: Detail?
        let error: String?
        let errorDetail: ErrorDetail?

        /// The engine's and the registry's own words for what went wrong, after a 200.
        var failure: String? { errorDetail?.message ?? error }
    }

    /// Nil when the image is not at hand.
    func inspectImage(_ name: String) async throws -> Image? {
        do {
            return try await exchange("GET", "/images/\(Self.escape(name))/json", as: Image.self)
        } catch let failure as DockerFailure where failure.status == 404 {
            return nil
        }
    }

    /// Pulls exactly one image. Throws `DockerFailure` (status 0 when the failure came after a 200).
    func pullImage(_ reference: ImageReference, credentials: String?, progress: (ProgressLine) -> Void) async throws {
        var headers: [CurlHeader] = []
        if let credentials { headers.append(CurlHeader("X-Registry-Auth", credentials)) }
        try await lines(
            "POST", "/images/create", Query(("fromImage", reference.repository), ("tag", reference.tagOrDigest)), headers: headers,
            total: deadlines.pull, idle: deadlines.pullIdle
        ) { bytes in
            guard let line = try? DockerJSON.decode(ProgressLine.self, from: bytes) else { return }
            if let failure = line.failure { throw DockerFailure(status: 0, message: failure) }
            progress(line)
        }
    }

    /// Makes an image of one layer from a tar archive.
    func importImage(_ tar: [UInt8], repository: String, tag: String, changes: [String]) async throws {
        var query = Query(("fromSrc", "-"), ("repo", repository), ("tag", tag))
        for change in changes { query.items.append(("changes", change)) }
        let response = try await checked(
            "POST", "/images/create", query, headers: [CurlHeader("Content-Type", "application/x-tar")], body: .bytes(tar),
            deadline: deadlines.change)
        for bytes in response.body.split(separator: UInt8(ascii: "\n")) {
            guard let line = try? DockerJSON.decode(ProgressLine.self, from: bytes), let failure = line.failure else { continue }
            throw DockerFailure(status: 0, message: failure)
        }
    }

    private struct Committed: Decodable { let id: String }

    /// The configuration that a committed image gets instead of its container's.
    struct CommitConfig: Encodable, Sendable {
        var entrypoint: [String]
        var cmd: [String]
        var env: [String]
        var user: String
        var workingDir: String
        var stopSignal: String
        var labels: [String: String]
    }

    /// - Returns: the new image's id.
    func commitContainer(_ id: String, repository: String, tag: String, config: CommitConfig) async throws -> String {
        try await exchange(
            "POST", "/commit", Query(("container", id), ("repo", repository), ("tag", tag), ("pause", "1")), json: config,
            deadline: deadlines.commit, as: Committed.self
        ).id
    }
}
