import ArgumentParser
import ExecboxCore
import ExecboxModel

struct TiersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tiers", abstract: "Lists, sets and deletes tiers: what accounts may do at most.",
        subcommands: [List.self, Set.self, Delete.self])

    private static func table(_ tiers: [Tier]) -> String {
        func text(_ limit: (some BinaryInteger)?) -> String { limit.map { "\($0)" } ?? "none" }
        let header = ["NAME", "SESSIONS/DAY", "AT ONCE", "MAX MS", "MAX MB", "MAX CPU MILLIS", "REQUESTS/S"]
        return OperatorAccess.table(
            [header]
                + tiers.map { tier in
                    [
                        tier.name, text(tier.sessionsPerDay), text(tier.concurrentSessions), text(tier.maxDurationMs),
                        text(tier.maxMemoryMB),
                        text(tier.maxCPUMillis), "\(tier.requestsPerSecond)",
                    ]
                })
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists tiers.")

        func run() async throws {
            try await OperatorAccess.withAdministration { print(TiersCommand.table(try await $0.allTiers())) }
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a tier, or changes one. What is not given stays, and is unlimited in a new tier.")

        @Argument(help: "The tier's name.") var name: String
        @Option(help: "A number, or 'none'.") var sessionsPerDay: LimitArgument?
        @Option(help: "A number, or 'none'.") var concurrentSessions: LimitArgument?
        @Option(help: "Milliseconds, or 'none'.") var maxDurationMs: LimitArgument?
        @Option(help: "MiB, or 'none'.") var maxMemoryMB: LimitArgument?
        @Option(help: "Thousandths of a CPU, or 'none'.") var maxCpuMillis: LimitArgument?
        @Option(help: "A number; needed for a new tier.") var requestsPerSecond: Int?

        func run() async throws {
            let wanted = self
            try await OperatorAccess.withAdministration { administration in
                let found = try await administration.allTiers().first { $0.name == wanted.name }
                guard let rate = wanted.requestsPerSecond ?? found?.requestsPerSecond else {
                    throw ExecboxError(.invalidArgument, "a new tier needs --requests-per-second")
                }
                var tier = found ?? Tier(name: wanted.name, requestsPerSecond: rate)
                tier.requestsPerSecond = rate
                if let limit = wanted.sessionsPerDay { tier.sessionsPerDay = limit.value.map { Int($0) } }
                if let limit = wanted.concurrentSessions { tier.concurrentSessions = limit.value.map { Int($0) } }
                if let limit = wanted.maxDurationMs { tier.maxDurationMs = limit.value }
                if let limit = wanted.maxMemoryMB { tier.maxMemoryMB = limit.value.map { Int($0) } }
                if let limit = wanted.maxCpuMillis { tier.maxCPUMillis = limit.value.map { Int($0) } }
                print(TiersCommand.table([try await administration.putTier(tier, by: OperatorAccess.actor)]))
            }
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Deletes a tier that no account has.")

        @Argument(help: "The tier's name.") var name: String

        func run() async throws {
            let name = name
            try await OperatorAccess.withAdministration { try await $0.deleteTier(name, by: OperatorAccess.actor) }
            print("deleted")
        }
    }
}
