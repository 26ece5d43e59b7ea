import ExecboxCurl
import ExecboxSandbox

extension DockerClient {
    /// What we read of `GET /info`.
    struct Info: Decodable, Sendable {
        let driver: String
        let driverStatus: [[String]]?
        let cgroupVersion: String?
        let cpuCount: Int
        let memoryBytes: Int64
        let rootFolder: String

        private enum CodingKeys: String, CodingKey {
            case driver, driverStatus, cgroupVersion
            case cpuCount = "nCPU"
            case memoryBytes = "memTotal"
            case rootFolder = "dockerRootDir"
        }
    }

    /// What we read of `GET /version`: names as images use them.
    struct Platform: Decodable, Equatable, Sendable {
        let os: String
        let arch: String
    }

    func info() async throws -> Info { try await exchange("GET", "/info", deadline: deadlines.change, as: Info.self) }

    func platform() async throws -> Platform { try await exchange("GET", "/version", as: Platform.self) }

    private struct VolumeCreation: Encodable {
        var name: String
        var labels: [String: String]
    }

    struct Volume: Decodable, Sendable { let labels: [String: String]? }

    /// Success when it exists, with whatever labels.
    func createVolume(_ name: String, labels: [String: String]) async throws {
        _ = try await exchange(
            "POST", "/volumes/create", json: VolumeCreation(name: name, labels: labels), deadline: deadlines.change, as: Volume.self)
    }

    func inspectVolume(_ name: String) async throws -> Volume {
        try await exchange("GET", "/volumes/\(Self.escape(name))", as: Volume.self)
    }

    func removeVolume(_ name: String) async throws {
        let response = try await call("DELETE", "/volumes/\(Self.escape(name))", deadline: deadlines.change)
        if response.status >= 400, response.status != 404 { throw Self.failure(response.status, response.body) }
    }
}
