import ExecboxCurl
import ExecboxSandbox

extension DockerClient {
    private struct Created: Decodable { let id: String }
    struct Listed: Decodable, Sendable {
        let id: String
        let labels: [String: String]?
        let state: String
        /// Seconds since 1970.
        let created: Int64
    }

    /// - Returns: the container's id. Throws `DockerFailure` 404 for an unknown image, 409 for a name that is taken.
    func createContainer(name: String, _ creation: ContainerCreation) async throws -> String {
        try await exchange(
            "POST", "/containers/create", Query(("name", name)), json: creation, deadline: deadlines.change, as: Created.self
        ).id
    }

    /// Success when it runs already.
    func startContainer(_ id: String) async throws {
        _ = try await checked("POST", "/containers/\(Self.escape(id))/start", deadline: deadlines.change)
    }

    /// Nil when there is no such container.
    func inspectContainer(_ id: String, size: Bool = false) async throws -> ContainerInspection? {
        do {
            return try await exchange(
                "GET", "/containers/\(Self.escape(id))/json", size ? Query(("size", "1")) : Query(),
                deadline: size ? deadlines.change : deadlines.query, as: ContainerInspection.self)
        } catch let failure as DockerFailure where failure.status == 404 {
            return nil
        }
    }

    /// Kills and removes with anonymous volumes. Returns the engine's refusal, if any: 404 gone, 409 being removed.
    func removeContainer(_ id: String) async throws(BackendError) -> DockerFailure? {
        let response = try await call(
            "DELETE", "/containers/\(Self.escape(id))", Query(("force", "1"), ("v", "1")), deadline: deadlines.change)
        return response.status < 400 ? nil : Self.failure(response.status, response.body)
    }

    /// Containers in any state that carry all of `labels` (`key=value`, or `key` for any value).
    func listContainers(labels: [String]) async throws -> [Listed] {
        try await exchange(
            "GET", "/containers/json", Query(("all", "1"), ("filters", try Self.filters(["label": labels]))), as: [Listed].self)
    }

    /// Unpacks a tar archive into the container's folder.
    func putArchive(_ tar: [UInt8], into container: String, at path: String) async throws {
        _ = try await checked(
            "PUT", "/containers/\(Self.escape(container))/archive", Query(("path", path)),
            headers: [CurlHeader("Content-Type", "application/x-tar")], body: .bytes(tar), deadline: deadlines.change)
    }

    /// The header that describes a file in a container; nil when there is none.
    func archiveStat(in container: String, at path: String) async throws -> String? {
        let response = try await call("HEAD", "/containers/\(Self.escape(container))/archive", Query(("path", path)))
        if response.status == 404 { return nil }
        guard response.status < 400 else { throw Self.failure(response.status, response.body) }
        return response.headers["X-Docker-Container-Path-Stat"]
    }

    static func filters(_ filters: [String: [String]]) throws -> String {
        String(decoding: try DockerJSON.encode(filters), as: UTF8.self)
    }
}
