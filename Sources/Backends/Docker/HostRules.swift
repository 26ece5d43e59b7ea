import ExecboxSandbox
import Glibc

/// The packet filter rules that keep sandboxes on our bridge away from this host, its neighbours and each other.
///
/// Everything stands in two chains of ours that are jumped to for packets from our bridge only: from INPUT, and from DOCKER-USER (from
/// FORWARD where there is none). Other engines and administrators may flush chains at any time, so `ensure()` is called again and again.
package struct HostRules: Sendable {
    /// Ranges that a sandbox never reaches by forwarding. 127/8 is missing: such packets are never forwarded, the rule for INPUT covers
    /// them. The last one is multicast and everything above.
    package static let closedRanges = [
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "224.0.0.0/3",
    ]

    let bridge: String
    let inputChain: String
    let forwardChain: String
    let resolvers: [String]

    init(configuration: DockerConfiguration) {
        bridge = configuration.bridgeName
        inputChain = "EXECBOX-IN-\(configuration.shortID)"
        forwardChain = "EXECBOX-FWD-\(configuration.shortID)"
        resolvers = configuration.resolvers ?? Self.systemResolvers()
    }

    /// Name servers of this host that can be reached from elsewhere.
    private static func systemResolvers() -> [String] {
        guard let file = fopen("/etc/resolv.conf", "r") else { return [] }
        defer { fclose(file) }
        var found: [String] = []
        var line = [CChar](repeating: 0, count: 1024)
        while fgets(&line, 1024, file) != nil {
            let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                .split(whereSeparator: \.isWhitespace)
            guard words.count >= 2, words[0] == "nameserver", let address = IPv4Range.address(words[1]), address >> 24 != 127 else {
                continue
            }
            found.append(String(words[1]))
        }
        return found
    }

    // MARK: What should stand

    /// The rules in our own chains, in order.
    package var rules: [HostRule] {
        let replies = "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"
        var rules = [
            HostRule(chain: inputChain, replies, purpose: "answers of published ports to this host"),
            HostRule(chain: inputChain, "-j DROP", purpose: "this host"),
            HostRule(chain: forwardChain, replies, purpose: "answers of published ports to others"),
        ]
        for resolver in resolvers {
            for transport in ["udp", "tcp"] {
                rules.append(
                    HostRule(
                        chain: forwardChain, "-d \(resolver)/32 -p \(transport) -m \(transport) --dport 53 -j RETURN",
                        purpose: "the name server \(resolver) by \(transport)"))
            }
        }
        rules.append(HostRule(chain: forwardChain, "-o \(bridge) -j DROP", purpose: "other sandboxes"))
        for range in Self.closedRanges {
            rules.append(HostRule(chain: forwardChain, "-d \(range) -j DROP", purpose: range))
        }
        return rules
    }

    /// The jumps to our chains, and the two rules that close IPv6, which stand by themselves.
    func entries(forwardParent: String, hasIPv6: Bool) -> [HostRule] {
        var entries = [
            HostRule(chain: "INPUT", "-i \(bridge) -j \(inputChain)", isFirst: true, purpose: "this host"),
            HostRule(chain: forwardParent, "-i \(bridge) -j \(forwardChain)", isFirst: true, purpose: "everything closed"),
        ]
        if hasIPv6 {
            entries.append(HostRule(.version6, chain: "INPUT", "-i \(bridge) -j DROP", isFirst: true, purpose: "this host by IPv6"))
            entries.append(HostRule(.version6, chain: "FORWARD", "-i \(bridge) -j DROP", isFirst: true, purpose: "IPv6"))
        }
        return entries
    }

    // MARK: What stands

    /// The filter tables as they are: chain → rules.
    struct Tables: Sendable {
        var version4: [String: [String]]
        /// Nil on a kernel without IPv6.
        var version6: [String: [String]]?

        subscript(family: HostRule.Family) -> [String: [String]] { family == .version4 ? version4 : version6 ?? [:] }

        /// Where forwarded packets are looked at first, and before Docker's own rules.
        var forwardParent: String {
            let isJumpedTo = version4["FORWARD"]?.contains { $0 == "-j DOCKER-USER" } ?? false
            return isJumpedTo && version4["DOCKER-USER"] != nil ? "DOCKER-USER" : "FORWARD"
        }
    }

    func tables() async throws -> Tables {
        Tables(
            version4: Self.parse(try await HostCommand("iptables", ["-w", "5", "-S"]).output()),
            version6: (try? await HostCommand("ip6tables", ["-w", "5", "-S"]).output()).map(Self.parse))
    }

    private static func parse(_ listing: String) -> [String: [String]] {
        var chains: [String: [String]] = [:]
        for line in listing.split(whereSeparator: \.isNewline) {
            let words = line.split(separator: " ", maxSplits: 2)
            guard words.count >= 2 else { continue }
            let chain = String(words[1])
            switch words[0] {
            case "-P", "-N": chains[chain, default: []] += []
            case "-A": chains[chain, default: []].append(words.count > 2 ? String(words[2]) : "")
            default: break
            }
        }
        return chains
    }

    /// Everything that should stand on this host now.
    package func expected() async throws -> [HostRule] {
        let tables = try await tables()
        return entries(forwardParent: tables.forwardParent, hasIPv6: tables.version6 != nil) + rules
    }

    /// What does not stand, or stands elsewhere than it should; empty when all is well.
    package func missing() async throws -> [HostRule] { missing(from: try await tables()) }

    private func missing(from tables: Tables) -> [HostRule] {
        var missing: [HostRule] = []
        for entry in entries(forwardParent: tables.forwardParent, hasIPv6: tables.version6 != nil) {
            // Two clusters on one host: the first rule may be the other one's jump.
            let before = tables[entry.family][entry.chain]?.prefix { $0 != entry.text && Self.isSafeBefore($0) }
            guard let before, tables[entry.family][entry.chain]?.dropFirst(before.count).first == entry.text else {
                missing.append(entry)
                continue
            }
        }
        for chain in [inputChain, forwardChain] {
            let wanted = rules.filter { $0.chain == chain }
            let standing = tables.version4[chain] ?? []
            guard standing != wanted.map(\.text) else { continue }
            let absent = wanted.filter { !standing.contains($0.text) }
            // All there, but in another order or with something between.
            missing += absent.isEmpty ? wanted : absent
        }
        return missing
    }

    /// Jumps and drops of other clusters' bridges never let a packet of ours through.
    private static func isSafeBefore(_ text: String) -> Bool {
        text.contains("-j EXECBOX-") || text.hasPrefix("-i ebx-") && text.hasSuffix("-j DROP")
    }

    // MARK: Changing it

    /// Puts up whatever is missing, each table in one go.
    ///
    /// - Returns: what had been missing.
    @discardableResult
    package func ensure() async throws -> [HostRule] {
        let before = missing(from: try await tables())
        var missing = before
        // Engines and other installations change the same parent chains, and may do so in between.
        for _ in 0..<5 where !missing.isEmpty {
            try await putUp()
            missing = try await self.missing()
        }
        disableIPv6()
        guard missing.isEmpty else {
            throw HostCommand.Failure(
                description: "rules do not stand after they were set: \(missing.map(\.text).joined(separator: ", "))")
        }
        return before
    }

    private func putUp() async throws {
        let tables = try await tables()
        let missing = missing(from: tables)
        for family in HostRule.Family.allCases where missing.contains(where: { $0.family == family }) {
            var text = "*filter\n"
            if family == .version4 {
                // Naming a chain of ours empties it; it is filled again in the same transaction.
                text += ":\(inputChain) - [0:0]\n:\(forwardChain) - [0:0]\n"
                for rule in rules { text += "-A \(rule.chain) \(rule.text)\n" }
            }
            for entry in entries(forwardParent: tables.forwardParent, hasIPv6: tables.version6 != nil)
            where entry.family == family && missing.contains(entry) {
                for standing in tables[family][entry.chain] ?? [] where standing == entry.text { text += "-D \(entry.chain) \(standing)\n" }
                text += "-I \(entry.chain) 1 \(entry.text)\n"
            }
            text += "COMMIT\n"
            _ = try await HostCommand("\(family.rawValue)-restore", ["--noflush", "-w", "5"], input: text).output()
        }
    }

    /// Takes every rule and chain of ours away. Success when there is none.
    package func remove() async throws {
        let tables = try await tables()
        for family in HostRule.Family.allCases {
            var text = ""
            for (chain, standing) in tables[family] {
                for rule in standing
                where rule == "-i \(bridge) -j \(inputChain)" || rule == "-i \(bridge) -j \(forwardChain)"
                    || family == .version6 && rule == "-i \(bridge) -j DROP"
                {
                    text += "-D \(chain) \(rule)\n"
                }
            }
            for chain in [inputChain, forwardChain] where tables[family][chain] != nil { text += "-F \(chain)\n-X \(chain)\n" }
            if text.isEmpty { continue }
            _ = try await HostCommand("\(family.rawValue)-restore", ["--noflush", "-w", "5"], input: "*filter\n\(text)COMMIT\n").output()
        }
    }

    /// Takes one rule away; for the tests that show what each one is good for.
    ///
    /// The jump for what is forwarded goes wherever it stands: while Docker rearranges its chains, its place is another one for a moment,
    /// and it may stand in both.
    package func delete(_ rule: HostRule) async throws {
        let tables = try await tables()
        let chains = rule.text.hasSuffix("-j \(forwardChain)") ? ["FORWARD", "DOCKER-USER"] : [rule.chain]
        var text = "*filter\n"
        for chain in chains {
            for standing in tables[rule.family][chain] ?? [] where standing == rule.text { text += "-D \(chain) \(standing)\n" }
        }
        _ = try await HostCommand("\(rule.family.rawValue)-restore", ["--noflush", "-w", "5"], input: text + "COMMIT\n").output()
    }

    /// Lets everything through that comes from one address, without opening anything for others. Taken back by `close(to:)` and by
    /// every `ensure()`.
    func open(for address: String) async throws {
        try await change("-I", address)
    }

    func close(for address: String) async throws {
        try await change("-D", address)
    }

    private func change(_ action: String, _ address: String) async throws {
        var text = "*filter\n"
        for chain in [inputChain, forwardChain] {
            text += "\(action) \(chain) \(action == "-I" ? "1 " : "")-s \(address)/32 -j ACCEPT\n"
        }
        text += "COMMIT\n"
        _ = try await HostCommand("iptables-restore", ["--noflush", "-w", "5"], input: text).output()
    }

    /// The bridge needs no address of its own in IPv6. Its switch exists while the bridge does.
    private func disableIPv6() {
        let descriptor = Glibc.open("/proc/sys/net/ipv6/conf/\(bridge)/disable_ipv6", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        _ = write(descriptor, "1\n", 2)
        Glibc.close(descriptor)
    }
}
