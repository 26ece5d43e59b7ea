import ArgumentParser
import ExecboxCore
import ExecboxDocker
import ExecboxPostgres
import Logging

struct HostSetupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "host-setup", abstract: "Makes the sandboxes' bridge and the packet filter rules that keep it apart from this host.",
        discussion: """
            Needs NET_ADMIN. Rules stand in chains of their own, one pair a bridge; the server puts them back when another program flushes them. \
            Without them the networks outgoing and exposed answer 501.
            """)

    @Flag(help: "Takes the rules and the bridge away again; sandboxes that use it must be gone.") var remove = false

    func run() async throws {
        let remove = remove
        try await reporting {
            let configuration = try ServerConfiguration()
            var log = configuration.logger()
            log.logLevel = max(log.logLevel, .warning)
            let database = try await configuration.database(log)
            try await configuration.prepareSchema(database, log)
            let clusterID = try await PostgresPool.with(database, logger: log) { try await ClusterStore(database: $0).id() }
            let backend = try DockerBackend(configuration: configuration.docker(clusterID: clusterID), logger: log)
            if remove {
                try await backend.removeHostRules()
                print("removed")
            } else {
                try await backend.installHostRules()
                print("installed")
            }
        }
    }
}
