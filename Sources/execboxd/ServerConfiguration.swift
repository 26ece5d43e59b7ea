import ExecboxCore
import ExecboxDocker
import ExecboxModel
import ExecboxPostgres
import Foundation
import Logging

/// Everything that is read from the environment, read once.
struct ServerConfiguration: Sendable {
    static let version = "0.1.0"

    /// What a bad variable is called and what it should be.
    struct Invalid: Error, CustomStringConvertible {
        var description: String
        init(_ variable: String, _ text: String) { description = "\(variable): \(text)" }
    }

    static let variables = """
        EXECBOX_LISTEN         address and port to listen on (127.0.0.1:8080)
        DATABASE_URL           postgres://user@host/database; without it a private PostgreSQL cluster is run
        EXECBOX_MIGRATIONS     folder of the migrations (./migrations)
        EXECBOX_SECRET_KEY     32 bytes or more, base64; encrypts environments until their command has started.
                               Required with DATABASE_URL; otherwise made in EXECBOX_DATA_DIR
        EXECBOX_DATA_DIR       what this server keeps on disk (/var/lib/execbox, or ~/.local/share/execbox)
        EXECBOX_RUN_DIR        sockets of the sandboxes' agents (/run/execbox/<cluster>)
        EXECBOX_AGENT          the static execbox-agent (beside execboxd)
        DOCKER_HOST            unix:///path of the Docker Engine's socket (unix:///var/run/docker.sock)
        EXECBOX_DOCKER_CONFIG  a Docker config.json with registry credentials (none)
        EXECBOX_BRIDGE         name of the sandboxes' bridge (ebx-<cluster>)
        EXECBOX_BRIDGE_SUBNET  its IPv4 subnet (172.31.192.0/20)
        EXECBOX_ISOLATION      enforced, or best-effort to offer networks whose isolation could not be proved (enforced)
        EXECBOX_EXPOSE_ADDRESS host address that published ports are bound to (127.0.0.1)
        EXECBOX_PUBLIC_HOST    host name in the URLs of published ports (EXECBOX_EXPOSE_ADDRESS)
        EXECBOX_NODE           this host's name in the database (its host name)
        EXECBOX_CPU_OVERCOMMIT how many times this host's CPUs sessions may reserve together (16)
        EXECBOX_MAX_SESSIONS   how many sessions this host carries at once (1000)
        EXECBOX_SIGNUP         on, to let strangers make accounts of the tier free with POST /v1/waitlist (off)
        EXECBOX_SIGNUP_PER_HOUR  accounts, and requests for more, that one address may make in an hour (5)
        TRUSTED_PROXIES        addresses and ranges of reverse proxies whose X-Forwarded-For is believed (none)
        EXECBOX_WEBHOOK_ALLOW  private addresses and ranges that webhooks may go to (none)
        EXECBOX_WEBHOOK_CA     file of certificates to trust for webhooks (the system's)
        EXECBOX_CLAIM_SECONDS  how long a server that does not answer keeps its sessions from others (30)
        EXECBOX_LOG_LEVEL      debug, info, warning or error (info)
        """

    var host: String
    var port: Int
    var databaseURL: String?
    var migrations: String
    var dataDirectory: String
    var runDirectory: String?
    var agentPath: String
    var dockerHost: String
    var dockerConfig: String?
    var bridge: String?
    var bridgeSubnet: String
    var isBestEffort: Bool
    var exposeAddress: String
    var publicHost: String
    var node: String
    var cpuOvercommit: Int
    var maxSessions: Int
    var signUp = SignUp.Settings()
    var trustedProxies: [IPNetwork]
    var webhookNetworks: [IPNetwork]
    var webhookAuthorities: String?
    var claimSeconds: Int
    var logLevel: Logger.Level
    private var secretText: String?

    init(environment: [String: String] = ProcessInfo.processInfo.environment) throws {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }

        let listen = value("EXECBOX_LISTEN") ?? "127.0.0.1:8080"
        guard let colon = listen.lastIndex(of: ":"), let port = Int(listen[listen.index(after: colon)...]), (0...65_535).contains(port)
        else {
            throw Invalid("EXECBOX_LISTEN", "must be address:port, such as 127.0.0.1:8080, not \(listen)")
        }
        host = String(listen[..<colon]).trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
        self.port = port
        databaseURL = value("DATABASE_URL")
        let beside = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().path
        migrations = value("EXECBOX_MIGRATIONS") ?? "migrations"
        dataDirectory =
            value("EXECBOX_DATA_DIR")
            ?? (getuid() == 0 ? "/var/lib/execbox" : "\(NSHomeDirectory())/.local/share/execbox")
        runDirectory = value("EXECBOX_RUN_DIR")
        agentPath = value("EXECBOX_AGENT") ?? "\(beside)/execbox-agent"
        dockerHost = value("DOCKER_HOST") ?? "unix:///var/run/docker.sock"
        dockerConfig = value("EXECBOX_DOCKER_CONFIG")
        bridge = value("EXECBOX_BRIDGE")
        bridgeSubnet = value("EXECBOX_BRIDGE_SUBNET") ?? "172.31.192.0/20"
        switch value("EXECBOX_ISOLATION") ?? "enforced" {
        case "enforced": isBestEffort = false
        case "best-effort": isBestEffort = true
        case let other: throw Invalid("EXECBOX_ISOLATION", "must be enforced or best-effort, not \(other)")
        }
        exposeAddress = value("EXECBOX_EXPOSE_ADDRESS") ?? "127.0.0.1"
        publicHost = value("EXECBOX_PUBLIC_HOST") ?? exposeAddress
        node = value("EXECBOX_NODE") ?? ProcessInfo.processInfo.hostName
        func number(_ name: String, _ standard: Int, in range: ClosedRange<Int>) throws -> Int {
            guard let text = value(name) else { return standard }
            guard let number = Int(text), range.contains(number) else {
                throw Invalid(name, "must be a number from \(range.lowerBound) to \(range.upperBound), not \(text)")
            }
            return number
        }
        cpuOvercommit = try number("EXECBOX_CPU_OVERCOMMIT", 16, in: 1...1000)
        maxSessions = try number("EXECBOX_MAX_SESSIONS", 1000, in: 1...100_000)
        signUp.perHour = try number("EXECBOX_SIGNUP_PER_HOUR", 5, in: 1...1_000_000)
        switch value("EXECBOX_SIGNUP") ?? "off" {
        case "on": signUp.isOpen = true
        case "off": signUp.isOpen = false
        case let other: throw Invalid("EXECBOX_SIGNUP", "must be on or off, not \(other)")
        }
        func networks(_ name: String) throws -> [IPNetwork] {
            try (value(name) ?? "").split(whereSeparator: { $0 == "," || $0 == " " }).map { text in
                guard let network = IPNetwork(String(text)) else {
                    throw Invalid(name, "\(text) is neither an address nor a range such as 10.0.0.0/8")
                }
                return network
            }
        }
        trustedProxies = try networks("TRUSTED_PROXIES")
        webhookNetworks = try networks("EXECBOX_WEBHOOK_ALLOW")
        webhookAuthorities = value("EXECBOX_WEBHOOK_CA")
        claimSeconds = try number("EXECBOX_CLAIM_SECONDS", 30, in: 1...3600)
        let level = value("EXECBOX_LOG_LEVEL") ?? "info"
        guard let parsed = Logger.Level(rawValue: level) else {
            throw Invalid("EXECBOX_LOG_LEVEL", "must be debug, info, warning or error, not \(level)")
        }
        logLevel = parsed
        secretText = value("EXECBOX_SECRET_KEY")
    }

    /// `EXECBOX_SECRET_KEY`; in development one that is made once, readable by its owner only.
    func secretKey() throws -> [UInt8] {
        if let secretText {
            guard let data = Data(base64Encoded: secretText), data.count >= 32 else {
                throw Invalid("EXECBOX_SECRET_KEY", "must be base64 of at least 32 random bytes, as of `openssl rand -base64 32`")
            }
            return Array(data)
        }
        guard databaseURL == nil else {
            throw Invalid("EXECBOX_SECRET_KEY", "is required with DATABASE_URL: base64 of 32 random bytes, as of `openssl rand -base64 32`")
        }
        let path = "\(dataDirectory)/secret-key"
        if let made = FileManager.default.contents(atPath: path), made.count >= 32 { return Array(made) }
        try FileManager.default.createDirectory(atPath: dataDirectory, withIntermediateDirectories: true)
        var generator = SystemRandomNumberGenerator()
        let key = Data((0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
        guard FileManager.default.createFile(atPath: path, contents: key, attributes: [.posixPermissions: 0o600]) else {
            throw Invalid("EXECBOX_DATA_DIR", "\(path) cannot be written")
        }
        return Array(key)
    }

    func logger(_ label: String = "execboxd") -> Logger {
        var logger = Logger(label: label) { _ in JSONLogHandler() }
        logger.logLevel = logLevel
        return logger
    }

    func docker(clusterID: String) -> DockerConfiguration {
        DockerConfiguration(
            dockerHost: dockerHost,
            clusterID: clusterID,
            runDirectory: runDirectory,
            agentPath: agentPath,
            bridgeName: bridge,
            subnet: bridgeSubnet,
            isolation: isBestEffort ? .bestEffort : .enforced,
            exposedBindAddress: exposeAddress,
            registryConfigPath: dockerConfig
        )
    }

    /// The database that was configured, or the private cluster, started if need be.
    func database(_ log: Logger) async throws -> PostgresConfiguration {
        if let databaseURL {
            var database = try PostgresConfiguration(url: databaseURL)
            // No transaction of ours spans a call to anything else: one that idles belongs to a process that was stopped.
            database.idleTransactionTimeout = .seconds(5)
            return database
        }
        let cluster = try await PrivateCluster.start(logger: log)
        log.info("Using the private PostgreSQL cluster", metadata: ["adopted": "\(cluster.wasAdopted)"])
        return cluster.configuration
    }

    /// Development brings its own schema up to date; elsewhere `execboxd migrate` is a step of its own.
    func prepareSchema(_ database: PostgresConfiguration, _ log: Logger) async throws {
        let migrator = Migrator(directory: migrations, logger: log)
        if databaseURL == nil {
            _ = try await migrator.migrate(database)
        } else if let first = try await migrator.pending(database).first {
            throw Invalid("DATABASE_URL", "migration \(first.name) has not been applied: run `execboxd migrate`")
        }
    }
}
