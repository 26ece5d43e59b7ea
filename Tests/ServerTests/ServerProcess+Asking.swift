import ExecboxAPI
import ExecboxCurl
import ExecboxDocker
import ExecboxTestSupport

extension ServerProcess {
    func execs(_ session: String) async throws -> [ExecStateBody] {
        try ExecListBody.fromJSON(try await request("GET", "/v1/sessions/\(session)/execs").body).execs
    }

    func cpuMs(_ session: String) async throws -> Int64 {
        try StatsBody.fromJSON(try await request("GET", "/v1/sessions/\(session)/stats").body).cpuMs
    }

    /// What a GET with this key is answered.
    func status(_ path: String, key: String) async throws -> Int {
        try await request("GET", path, headers: [CurlHeader("Authorization", "Bearer \(key)")], authorized: false).status
    }

    private struct Container: Decodable { let id: String }

    /// Ids of the containers of this server's cluster.
    func containers() async throws -> [String] {
        let filter = "filters=%7B%22label%22%3A%5B%22execbox.cluster%3D\(engine.configuration.clusterID)%22%5D%7D"
        return try await engine.docker([Container].self, "GET", "/containers/json?all=1&\(filter)").map(\.id)
    }
}
