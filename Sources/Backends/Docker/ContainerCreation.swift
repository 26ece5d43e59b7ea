/// The body of `POST /containers/create`.
struct ContainerCreation: Encodable, Sendable {
    struct Nothing: Encodable, Sendable {}
    struct Healthcheck: Encodable, Sendable { var test = ["NONE"] }

    struct Mount: Encodable, Sendable {
        var type: String
        var source: String
        var target: String
        var readOnly = true
        var volumeOptions: VolumeOptions?

        struct VolumeOptions: Encodable, Sendable {
            var noCopy = true
            var labels: [String: String]
        }
    }

    struct PortBinding: Encodable, Sendable {
        var hostIp: String
        var hostPort: String
    }

    struct Ulimit: Encodable, Sendable {
        var name: String
        var soft: Int
        var hard: Int
    }

    struct LogConfig: Encodable, Sendable { var type = "none" }
    struct RestartPolicy: Encodable, Sendable { var name = "no" }

    struct DeviceRate: Encodable, Sendable {
        var path: String
        var rate: Int64
    }

    struct HostConfig: Encodable, Sendable {
        var networkMode: String
        var mounts: [Mount]
        var memory: Int64?
        var memorySwap: Int64?
        var cpuPeriod: Int64?
        var cpuQuota: Int64?
        var pidsLimit: Int64?
        var portBindings: [String: [PortBinding]] = [:]
        var dns: [String] = []
        var storageOpt: [String: String]?
        var blkioDeviceReadBps: [DeviceRate]?
        var blkioDeviceWriteBps: [DeviceRate]?
        var blkioDeviceReadIOps: [DeviceRate]?
        var blkioDeviceWriteIOps: [DeviceRate]?
        var capDrop = ["ALL"]
        /// Without KILL the agent could not signal processes of other users.
        var capAdd = [
            "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETUID", "SETGID", "SETFCAP", "KILL", "SYS_CHROOT", "NET_BIND_SERVICE",
            "AUDIT_WRITE",
        ]
        var securityOpt = ["no-new-privileges"]
        var privileged = false
        var ipcMode = "private"
        var shmSize: Int64 = 64 * 1024 * 1024
        var logConfig = LogConfig()
        var restartPolicy = RestartPolicy()
        var `init` = false
        /// Above the host's own processes; the agent raises those it starts further.
        var oomScoreAdj = 200
        /// Lowered only: an engine that is confined itself cannot raise one above its own.
        var ulimits = [Ulimit(name: "core", soft: 0, hard: 0)]
    }

    var image: String
    var entrypoint: [String]
    var cmd: [String] = []
    var user = "0:0"
    var workingDir = "/"
    var labels: [String: String]
    var exposedPorts: [String: Nothing] = [:]
    var healthcheck = Healthcheck()
    var stopSignal = "SIGTERM"
    var stopTimeout = 10
    var tty = false
    var openStdin = false
    var hostConfig: HostConfig
}
