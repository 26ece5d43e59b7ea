import ExecboxWire

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// What the kernel counts for the whole sandbox, from cgroup v1 or v2 as they are mounted inside. What is not there counts 0.
final class ControlGroup {
    private let cpu: CounterFile?
    /// v1 counts CPU time in ns, v2 has `usage_usec` among other lines.
    private let isVersion2: Bool
    private let memory: CounterFile?
    private let memoryPeak: CounterFile?
    private let oomEvents: CounterFile?
    private let processes: CounterFile?
    private var highestSeen: UInt64 = 0
    /// 0 if there is none.
    let memoryLimitBytes: UInt64

    init(root: String = "/sys/fs/cgroup", membership: String = "/proc/self/cgroup") {
        let paths = Self.memberships(membership)
        isVersion2 = access(root + "/cgroup.controllers", F_OK) == 0
        let isVersion2 = isVersion2
        func file(_ controllers: [String], _ name: String) -> CounterFile? {
            let bases = isVersion2 ? [root] : controllers.map { root + "/" + $0 }
            for base in bases {
                for controller in isVersion2 ? [""] : controllers {
                    // Inside a container the membership often names a path that only the host sees; then the mount's root is ours.
                    if let path = paths[controller], path != "/", let file = CounterFile(path: base + path + "/" + name) { return file }
                }
                if let file = CounterFile(path: base + "/" + name) { return file }
            }
            return nil
        }
        cpu = isVersion2 ? file([], "cpu.stat") : file(["cpuacct", "cpu,cpuacct"], "cpuacct.usage")
        memory = file(["memory"], isVersion2 ? "memory.current" : "memory.usage_in_bytes")
        memoryPeak = file(["memory"], isVersion2 ? "memory.peak" : "memory.max_usage_in_bytes")
        oomEvents = file(["memory"], isVersion2 ? "memory.events" : "memory.oom_control")
        processes = file(["pids"], "pids.current")
        let limit = file(["memory"], isVersion2 ? "memory.max" : "memory.limit_in_bytes")?.number ?? 0
        // v1 says "none" with a number near 2^63.
        memoryLimitBytes = limit < 1 << 60 ? limit : 0
    }

    /// How often the kernel has killed for want of memory.
    var oomKills: UInt32 { UInt32(clamping: oomEvents?.number(of: "oom_kill") ?? 0) }

    var cpuMicroseconds: UInt64? {
        isVersion2 ? cpu?.number(of: "usage_usec") : cpu?.number.map { $0 / 1000 }
    }

    var memoryPeakBytes: UInt64 {
        // Older kernels of v2 have no peak: then the highest that was seen has to do.
        let peak = memoryPeak?.number ?? memory?.number ?? 0
        highestSeen = max(highestSeen, peak)
        return highestSeen
    }

    func statistics(uptimeMicroseconds: UInt64) -> SandboxStatistics {
        let (received, sent) = Self.networkBytes()
        return SandboxStatistics(
            cpuMicroseconds: cpuMicroseconds ?? 0, memoryBytes: memory?.number ?? 0, memoryPeakBytes: memoryPeakBytes,
            memoryLimitBytes: memoryLimitBytes, processCount: UInt32(clamping: processes?.number ?? 0), networkReceivedBytes: received,
            networkSentBytes: sent, oomKills: oomKills, uptimeMicroseconds: uptimeMicroseconds)
    }

    /// Controller to path; "" for the one of v2.
    private static func memberships(_ path: String) -> [String: String] {
        var paths: [String: String] = [:]
        for line in CounterFile(path: path)?.text.split(separator: "\n") ?? [] {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            for controller in fields[1].split(separator: ",", omittingEmptySubsequences: false) {
                paths[String(controller)] = String(fields[2])
            }
        }
        return paths
    }

    private static func networkBytes() -> (received: UInt64, sent: UInt64) {
        var received: UInt64 = 0
        var sent: UInt64 = 0
        for line in CounterFile(path: "/proc/self/net/dev")?.text.split(separator: "\n") ?? [] {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            let device = parts[0].drop { $0 == " " }
            let numbers = parts[1].split(separator: " ")
            guard device != "lo", numbers.count >= 9 else { continue }
            received &+= UInt64(numbers[0]) ?? 0
            sent &+= UInt64(numbers[8]) ?? 0
        }
        return (received, sent)
    }
}
