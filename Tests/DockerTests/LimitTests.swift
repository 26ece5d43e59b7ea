import ExecboxDocker
import ExecboxModel
import ExecboxSandbox
import ExecboxTestSupport
import Testing

@Suite(.timeLimit(.minutes(5)), .serialized)
struct LimitTests {
    private struct Inspection: Decodable {
        struct HostConfig: Decodable {
            let memory: Int64
            let memorySwap: Int64
            let cpuPeriod: Int64
            let cpuQuota: Int64
            let pidsLimit: Int64
            let capAdd: [String]
            let capDrop: [String]
            let securityOpt: [String]
            let privileged: Bool
            let networkMode: String
            let ipcMode: String
            let shmSize: Int64
            let oomScoreAdj: Int
            let logConfig: Log
            let restartPolicy: Restart
            struct Log: Decodable { let type: String }
            struct Restart: Decodable { let name: String }
        }
        struct Config: Decodable {
            let user: String
            let entrypoint: [String]
            let labels: [String: String]
            let healthcheck: Check
            struct Check: Decodable { let test: [String] }
        }
        struct Mount: Decodable {
            let destination: String
            let rW: Bool
        }
        let hostConfig: HostConfig
        let config: Config
        let mounts: [Mount]
    }

    @Test("every limit of the spec and the whole security floor stand in the container's configuration")
    func configuration() async throws {
        try await TestEngine.with { engine in
            let spec = try await engine.spec(resources: Resources(cpuMillis: 1500, memoryMB: 96, pids: 33))
            let ref = try await engine.backend.create(spec)
            let found = try await engine.docker(Inspection.self, "GET", "/containers/\(ref.backendID)/json")
            let host = found.hostConfig
            #expect(host.memory == 96 * 1024 * 1024)
            #expect(host.memorySwap == host.memory)
            #expect(host.cpuPeriod == 100_000)
            #expect(host.cpuQuota == 150_000)
            #expect(host.pidsLimit == 33)
            #expect(host.capDrop == ["ALL"])
            #expect(
                Set(host.capAdd) == [
                    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETUID", "SETGID", "SETFCAP", "KILL", "SYS_CHROOT", "NET_BIND_SERVICE",
                    "AUDIT_WRITE",
                ])
            #expect(host.securityOpt == ["no-new-privileges"])
            #expect(!host.privileged)
            #expect(host.networkMode == "none")
            #expect(host.ipcMode == "private")
            #expect(host.shmSize == 64 * 1024 * 1024)
            #expect(host.oomScoreAdj == 200)
            #expect(host.logConfig.type == "none")
            #expect(["no", ""].contains(host.restartPolicy.name))
            #expect(found.config.user == "0:0")
            #expect(found.config.entrypoint == ["/.execbox/bin/execbox-agent", "--dial-out", "/.execbox/run"])
            #expect(found.config.healthcheck.test == ["NONE"])
            #expect(found.config.labels["execbox.session"] == spec.sessionID.description)
            #expect(Set(found.mounts.map(\.destination)) == ["/.execbox/bin", "/.execbox/run"])
            #expect(found.mounts.allSatisfy { !$0.rW })
        }
    }

    @Test("inside, the floor holds: capabilities, seccomp, no new privileges, read-only mounts, loopback only")
    func floorInside() async throws {
        try await TestEngine.with { engine in
            let id = try await engine.backend.create(try await engine.spec()).sandboxID
            let status = try await engine.shell(id, "cat /proc/1/status").output
            // CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, KILL 5, SETGID 6, SETUID 7, NET_BIND_SERVICE 10, SYS_CHROOT 18, AUDIT_WRITE 29,
            // SETFCAP 31
            #expect(status.contains("CapBnd:\t00000000a00404fb"))
            #expect(status.contains("NoNewPrivs:\t1"))
            #expect(status.contains("Seccomp:\t2"))
            for path in ["/.execbox/run/x", "/.execbox/bin/x", "/proc/sys/kernel/hostname", "/sys/x"] {
                #expect(try await engine.shell(id, "echo 1 > \(path)").code != 0)
            }
            #expect(try await engine.shell(id, "mount -o remount,rw /.execbox/run").code != 0)
            #expect(try await engine.shell(id, "ls /.execbox/run", user: "65534").code != 0)
            #expect(try await engine.shell(id, "ls /sys/class/net").output == "lo\r\n")
            #expect(try await engine.shell(id, "ls /dev/pts/ptmx /dev/ptmx").code == 0)
        }
    }

    @Test("memory and pids are really bounded")
    func enforced() async throws {
        try await TestEngine.with { engine in
            let id = try await engine.backend.create(try await engine.spec(resources: Resources(cpuMillis: 1000, memoryMB: 48, pids: 20)))
                .sandboxID
            // dd takes its block into memory at once.
            #expect(try await engine.shell(id, "dd if=/dev/zero of=/dev/null bs=20M count=1").code == 0)
            #expect(try await engine.shell(id, "dd if=/dev/zero of=/dev/null bs=100M count=1").code == 137)
            let forks = try await engine.shell(
                id, "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do sleep 3 & done; wait")
            #expect(forks.code != 0)
            #expect(forks.output.contains("fork"))
            #expect(try await engine.backend.state(SandboxRef(sandboxID: id)) == .running)
        }
    }

    @Test("what the host cannot give is refused by name")
    func refused() async throws {
        try await TestEngine.with { engine in
            let capabilities = engine.backend.capabilities
            #expect(capabilities.cpuCount > 0)
            #expect(capabilities.memoryBytes > 0)
            func error(_ change: (inout SandboxSpec) -> Void) async throws -> BackendError? {
                var spec = try await engine.spec()
                change(&spec)
                let changed = spec
                return await #expect(throws: BackendError.self) { try await engine.backend.create(changed) }
            }
            for (word, found) in [
                ("cpuMillis", try await error { $0.resources.cpuMillis = capabilities.cpuCount * 1000 + 1 }),
                ("memoryMB", try await error { $0.resources.memoryMB = Int(capabilities.memoryBytes >> 20) + 1 }),
                ("pids", try await error { $0.resources.pids = 0 }),
                ("ports", try await error { $0.ports = [PortSpec(container: 80, transport: .tcp)] }),
            ] {
                guard case .invalidSpec(let text) = found else {
                    Issue.record("\(word): \(String(describing: found))")
                    continue
                }
                #expect(text.contains(word))
            }
            if !capabilities.limitsDiskIO {
                guard case .notSupported = try await error({ $0.resources.diskReadBps = 1_000_000 }) else {
                    Issue.record("disk limits must not be accepted")
                    return
                }
            }
            guard case .imageNotFound = try await error({ $0.image.digest = "sha256:" + String(repeating: "0", count: 64) }) else {
                Issue.record("an unknown image must be named as that")
                return
            }
            #expect(try await engine.backend.list() == [])
        }
    }

    @Test("the writable layer's size is seen")
    func diskUsage() async throws {
        try await TestEngine.with { engine in
            let ref = try await engine.backend.create(try await engine.spec())
            guard let before = try await engine.backend.diskUsage(ref) else { return }
            _ = try await engine.shell(ref.sandboxID, "dd if=/dev/zero of=/big bs=1M count=20")
            let after = try #require(try await engine.backend.diskUsage(ref))
            #expect(after >= before + 20 * 1024 * 1024)
            #expect(after < before + 22 * 1024 * 1024)
        }
    }
}
