import ExecboxModel

/// What a backend can do, proved at start-up; what is missing answers 501.
package struct BackendCapabilities: Equatable, Sendable {
    package var networks: Set<NetworkMode>
    /// Why `outgoing` and `exposed` are missing, when they are.
    package var networkRefusal: String?
    /// `outgoing` and `exposed` are offered without proof (`EXECBOX_ISOLATION=best-effort`).
    package var isIsolationUnproved: Bool
    package var limitsDiskIO: Bool
    package var publishesUDP: Bool
    /// The storage driver enforces `diskMB`; otherwise the disk watch does.
    package var enforcesDiskQuota: Bool
    package var cpuCount: Int
    package var memoryBytes: Int64

    package init(
        networks: Set<NetworkMode> = [.none],
        networkRefusal: String? = nil,
        isIsolationUnproved: Bool = false,
        limitsDiskIO: Bool = false,
        publishesUDP: Bool = false,
        enforcesDiskQuota: Bool = false,
        cpuCount: Int = 1,
        memoryBytes: Int64 = 0
    ) {
        self.networks = networks
        self.networkRefusal = networkRefusal
        self.isIsolationUnproved = isIsolationUnproved
        self.limitsDiskIO = limitsDiskIO
        self.publishesUDP = publishesUDP
        self.enforcesDiskQuota = enforcesDiskQuota
        self.cpuCount = cpuCount
        self.memoryBytes = memoryBytes
    }
}
