import ExecboxSandbox

/// What we read of `GET /containers/{id}/json`.
struct ContainerInspection: Decodable, Sendable {
    struct State: Decodable, Sendable {
        let status: String
        let pid: Int32
        let exitCode: Int32
        let outOfMemory: Bool
        let error: String

        private enum CodingKeys: String, CodingKey {
            case status, pid, exitCode, error
            case outOfMemory = "oOMKilled"
        }
    }

    struct Config: Decodable, Sendable { let labels: [String: String]? }

    struct HostBinding: Decodable, Sendable {
        let hostIp: String
        let hostPort: String
    }

    struct Endpoint: Decodable, Sendable {
        let address: String

        private enum CodingKeys: String, CodingKey { case address = "iPAddress" }
    }

    struct NetworkSettings: Decodable, Sendable {
        let ports: [String: [HostBinding]?]?
        let networks: [String: Endpoint]?
    }

    let id: String
    let state: State
    let config: Config
    let networkSettings: NetworkSettings
    let sizeRw: Int64?

    var labels: [String: String] { config.labels ?? [:] }

    var sandboxState: SandboxState {
        switch state.status {
        // A failed start leaves `created` and says why.
        case "created": state.error.isEmpty ? .starting : .exited(code: state.exitCode, outOfMemory: false)
        case "running", "paused", "restarting": .running
        case "exited": .exited(code: state.exitCode, outOfMemory: state.outOfMemory)
        default: .gone
        }
    }
}
