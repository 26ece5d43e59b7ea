import ArgumentParser
import ExecboxCore
import ExecboxDocker
import ExecboxModel
import ExecboxPostgres
import ExecboxSandbox
import Foundation
import Logging

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Checks everything the server needs and says what to do about what is missing.",
        discussion: "Exit code 0 when a server could start and offer every network; 1 otherwise. Makes probe containers and removes them."
    )

    func run() async throws {
        try await reporting {
            let configuration = try ServerConfiguration()
            var log = configuration.logger()
            log.logLevel = .critical
            var isHealthy = true
            func check(_ what: String, _ body: () async throws -> String) async {
                do {
                    print("ok    \(what): \(try await body())")
                } catch {
                    isHealthy = false
                    print("FAIL  \(what): \(Self.text(error))")
                }
            }

            await check("agent") {
                guard FileManager.default.isExecutableFile(atPath: configuration.agentPath) else {
                    throw ServerConfiguration.Invalid("EXECBOX_AGENT", "there is no executable at \(configuration.agentPath)")
                }
                return configuration.agentPath
            }
            var clusterID: String?
            await check("database") {
                let database = try await configuration.database(log)
                let pending = try await Migrator(directory: configuration.migrations, logger: log).pending(database)
                if let first = pending.first, configuration.databaseURL != nil {
                    throw ServerConfiguration.Invalid(
                        "DATABASE_URL",
                        "migration \(first.name) has not been applied: run `execboxd migrate`"
                    )
                }
                try await configuration.prepareSchema(database, log)
                clusterID = try await PostgresPool.with(database, logger: log) { try await ClusterStore(database: $0).id() }
                return "reachable, schema up to date"
            }
            await check("secret key") {
                _ = try configuration.secretKey()
                return "present"
            }
            if let clusterID {
                let backend = try DockerBackend(configuration: configuration.docker(clusterID: clusterID), logger: log)
                await check("Docker") {
                    try await backend.start()
                    return
                        "\(configuration.dockerHost), \(backend.capabilities.cpuCount) CPUs, \(backend.capabilities.memoryBytes >> 20) MiB"
                }
                await check("networks") {
                    if let refusal = backend.capabilities.networkRefusal { throw ServerConfiguration.Invalid("isolation", refusal) }
                    let names = backend.capabilities.networks.map(\.rawValue).sorted().joined(separator: ", ")
                    return backend.capabilities.isIsolationUnproved
                        ? "\(names); isolation UNPROVED (best-effort)" : "\(names); isolation proved"
                }
            }
            if !isHealthy { throw ExitCode.failure }
        }
    }

    private static func text(_ error: any Error) -> String {
        switch error {
        case let error as PostgresError: error.debugDescription
        case let error as ExecboxError: error.message
        default: "\(error)"
        }
    }
}
