import ExecboxCurl
import ExecboxModel
import ExecboxSandbox
import ExecboxTestSupport
import Glibc
import Testing

@testable import ExecboxDocker

/// Needs NET_ADMIN in the engine's network namespace, as `make test` gives it.
@Suite(.timeLimit(.minutes(10)), .serialized)
struct IsolationTests {
    private static func iptables(_ arguments: String...) async throws {
        _ = try await HostCommand("iptables", ["-w", "5"] + arguments).output()
    }

    private static func switchDockersRule(_ bridge: String, from: String, to: String) async throws {
        try await iptables("-D", "FORWARD", "-i", bridge, "-o", bridge, "-j", from)
        try await iptables("-A", "FORWARD", "-i", bridge, "-o", bridge, "-j", to)
    }

    @Test("start proves the isolation, and every network is offered")
    func proved() async throws {
        try await TestEngine.with { engine in
            #expect(engine.backend.capabilities.networks == Set(NetworkMode.allCases))
            #expect(engine.backend.capabilities.networkRefusal == nil)
            #expect(!engine.backend.capabilities.isIsolationUnproved)
            let missing = try await engine.backend.hostRules.missing()
            #expect(missing == [])
            #expect(try await engine.backend.confirmedIsolation() == .proved)
            #expect(try await engine.backend.list() == [])
        }
    }

    @Test("each single rule is needed: without it the proof fails, and names what was open")
    func everyRuleIsNeeded() async throws {
        try await TestEngine.with { configuration in
            // Outside every closed range, or their rules would keep sandboxes apart as well.
            configuration.subnet = "203.0.113.128/25"
        } body: { engine in
            let backend = engine.backend
            let bridge = engine.configuration.bridgeName
            let rules = try await backend.hostRules.expected().filter { $0.family == .version4 && !$0.text.contains("--dport 53") }
            #expect(rules.count == 5 + 1 + HostRules.closedRanges.count)
            for rule in rules {
                try await backend.hostRules.delete(rule)
                // Docker keeps sandboxes apart too (icc=false); ours is for the time when another engine has flushed Docker's chains. Its
                // rule becomes what it is with icc=true.
                let isBetweenSandboxes = rule.text == "-o \(bridge) -j DROP"
                if isBetweenSandboxes { try await Self.switchDockersRule(bridge, from: "DROP", to: "ACCEPT") }
                let outcome = try await backend.probeIsolation()
                if isBetweenSandboxes { try await Self.switchDockersRule(bridge, from: "ACCEPT", to: "DROP") }
                if case .refuted(let why) = outcome {
                    let isNamed =
                        HostRules.closedRanges.contains(rule.purpose) || rule.purpose == "this host" ? why.contains(rule.purpose) : true
                    #expect(isNamed, "\(rule.text): \(why)")
                } else {
                    Issue.record("proved without \(rule.chain) \(rule.text)")
                }
                #expect(try await backend.hostRules.missing().contains(rule))
                try await backend.installHostRules()
                // Other installations on this host move their own jumps at any time.
                try await until { try await backend.hostRules.missing().isEmpty }
            }
            #expect(try await backend.confirmedIsolation() == .proved)
        }
    }

    @Test("a proof without its positive control is none: blocked by somebody else is not blocked by us")
    func positiveControl() async throws {
        try await TestEngine.with { engine in
            let bridge = engine.configuration.bridgeName
            try await Self.iptables("-t", "raw", "-I", "PREROUTING", "-i", bridge, "-j", "DROP")
            let outcome = try await engine.backend.probeIsolation()
            try await Self.iptables("-t", "raw", "-D", "PREROUTING", "-i", bridge, "-j", "DROP")
            guard case .refuted(let why) = outcome else {
                Issue.record("proved although nothing was reached with the rules off")
                return
            }
            #expect(why.contains("inconclusive"))
            #expect(try await engine.backend.hostRules.missing() == [])
        }
    }

    @Test("rules for name servers and IPv6 are missed and put back too")
    func otherRules() async throws {
        try await TestEngine.with { configuration in
            configuration.resolvers = ["10.1.2.3", "192.168.7.7"]
        } body: { engine in
            let rules = try await engine.backend.hostRules.expected().filter { $0.family == .version6 || $0.text.contains("--dport 53") }
            #expect(rules.count == 6 || rules.count == 4)
            for rule in rules {
                try await engine.backend.hostRules.delete(rule)
                #expect(try await engine.backend.hostRules.missing() == [rule])
                #expect(try await engine.backend.installHostRules() == [rule])
                #expect(try await engine.backend.hostRules.missing() == [])
            }
            #expect(try await engine.backend.installHostRules() == [])
        }
    }

    @Test("a rule too many, a wrong order and a flushed parent chain are put right by the guard")
    func guardPutsBack() async throws {
        try await TestEngine.with { engine in
            let rules = engine.backend.hostRules
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await engine.backend.run(every: .milliseconds(100)) }
                try await Self.iptables("-I", rules.forwardChain, "1", "-s", "172.31.255.1/32", "-j", "ACCEPT")
                try await until { try await rules.missing().isEmpty }
                try await Self.iptables("-I", "INPUT", "1", "-i", engine.configuration.bridgeName, "-j", "ACCEPT")
                try await until { try await rules.missing().isEmpty }
                try await Self.iptables("-D", "INPUT", "-i", engine.configuration.bridgeName, "-j", "ACCEPT")
                try await Self.iptables("-F", rules.inputChain)
                try await until { try await rules.missing().isEmpty }
                group.cancelAll()
            }
        }
    }

    @Test("an exposed sandbox answers on its published port, and reaches neither this host nor another sandbox")
    func exposed() async throws {
        try await TestEngine.with { engine in
            let spec = try await engine.spec(
                network: .exposed, ports: [PortSpec(container: 8080, transport: .tcp), PortSpec(container: 8053, transport: .udp)])
            let ref = try await engine.backend.create(spec)
            let ports = try await engine.backend.ports(ref)
            #expect(ports.map(\.container) == [8053, 8080])
            #expect(ports.map(\.transport) == [.udp, .tcp])
            #expect(ports.allSatisfy { $0.hostPort > 0 })
            _ = try await engine.shell(spec.sandboxID, "(while true; do echo hello | nc -l -p 8080; done) >/dev/null 2>&1 </dev/null &")
            let hostPort = try #require(ports.first { $0.transport == .tcp }).hostPort
            let target = ProbeSocket.Target(name: "", address: "127.0.0.1", port: hostPort)
            #expect(try await OwnThread.run { ProbeSocket.reached([target], milliseconds: 2000) } == [true])

            let other = try await engine.backend.create(try await engine.spec(network: .outgoing))
            #expect(try await engine.backend.ports(other) == [])
            let gateway = try #require(IPv4Range(engine.configuration.subnet)).address(at: 1)
            let listener = try ProbeSocket(listenOn: gateway)
            for (address, port) in [(gateway, listener.port), (gateway, hostPort)] {
                #expect(try await engine.shell(other.sandboxID, "nc -w 1 \(address) \(port) </dev/null").code != 0)
            }
            let address =
                try await engine.shell(spec.sandboxID, "hostname -i").output.split(whereSeparator: \.isWhitespace).first.map(String.init)
                ?? ""
            #expect(IPv4Range.address(address) != nil)
            #expect(try await engine.shell(other.sandboxID, "nc -w 1 \(address) 8080 </dev/null").code != 0)
            // No IPv6 at all.
            #expect(try await engine.shell(other.sandboxID, "ip -6 addr show dev eth0 | grep inet6").code != 0)
            await #expect(throws: BackendError.self) { try await engine.backend.removeHostRules() }
            #expect(try await engine.backend.hostRules.missing() == [])
            withExtendedLifetime(listener) {}
        }
    }

    @Test("host-setup takes everything away again, and twice")
    func removal() async throws {
        try await TestEngine.with { engine in
            try await engine.backend.removeHostRules()
            let listing = try await HostCommand("iptables", ["-w", "5", "-S"]).output()
            #expect(!listing.contains(engine.configuration.shortID))
            #expect(!(try await HostCommand("ip", ["link"]).output()).contains(engine.configuration.bridgeName))
            try await engine.backend.removeHostRules()
            try await engine.backend.installHostRules()
            #expect(try await engine.backend.confirmedIsolation() == .proved)
        }
    }

    @Test(
        "what cannot be proved is refused, or offered with a mark when the operator chose so",
        arguments: DockerConfiguration.Isolation.allCases)
    func unproved(isolation: DockerConfiguration.Isolation) async throws {
        try await TestEngine.with(started: false) { configuration in
            configuration.isolation = isolation
        } body: { engine in
            // Somebody else's network of that name: ours cannot be made.
            try await engine.docker("POST", "/networks/create", json: #"{"Name":"\#(engine.configuration.networkName)","Driver":"bridge"}"#)
            try await engine.backend.start()
            let capabilities = engine.backend.capabilities
            if isolation == .enforced {
                #expect(capabilities.networks == [.none])
                #expect(capabilities.networkRefusal?.contains("execboxd host-setup") == true)
                #expect(capabilities.networkRefusal?.contains("not ours") == true)
                let spec = try await engine.spec(network: .outgoing)
                await #expect(throws: BackendError.notSupported(capabilities.networkRefusal ?? "")) {
                    try await engine.backend.create(spec)
                }
                _ = try await engine.backend.create(try await engine.spec())
            } else {
                #expect(capabilities.networks == Set(NetworkMode.allCases))
                #expect(capabilities.isIsolationUnproved)
            }
            #expect(try await engine.docker("GET", "/networks/\(engine.configuration.networkName)").status == 200)
            try await engine.docker("DELETE", "/networks/\(engine.configuration.networkName)")
        }
    }
}
