import ArgumentParser
import ExecboxCore
import ExecboxModel

struct PricesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prices", abstract: "Lists and adds prices; each holds for sessions that start from its date on.",
        subcommands: [List.self, Add.self, Delete.self])

    private static func table(_ prices: [Price]) -> String {
        OperatorAccess.table(
            [["FROM", "MICRO-USD/SESSION", "/CPU SECOND", "/GB SECOND"]]
                + prices.map { price in
                    [
                        price.validFrom.text, "\(price.microsPerSession)", "\(price.microsPerCPUSecond)",
                        "\(price.microsPerGigabyteSecond)",
                    ]
                })
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists prices, the oldest first.")

        func run() async throws {
            try await OperatorAccess.withAdministration { print(PricesCommand.table(try await $0.allPrices())) }
        }
    }

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Adds a price, from now or a later date on. What sessions have started at stays theirs.")

        @Option(help: "The first moment at which it holds (RFC 3339; now unless given).") var validFrom: MomentArgument?
        @Option(help: "Micro-USD a session.") var perSession: Int64
        @Option(help: "Micro-USD a CPU-second.") var perCpuSecond: Int64
        @Option(help: "Micro-USD a GB-second of memory.") var perGbSecond: Int64

        func validate() throws {
            guard [perSession, perCpuSecond, perGbSecond].allSatisfy({ (0...Price.maxMicros).contains($0) }) else {
                throw ValidationError("prices are from 0 to \(Price.maxMicros) micro-USD")
            }
        }

        func run() async throws {
            let price = Price(
                validFrom: validFrom?.value ?? .now, microsPerSession: perSession, microsPerCPUSecond: perCpuSecond,
                microsPerGigabyteSecond: perGbSecond)
            try await OperatorAccess.withAdministration {
                print(PricesCommand.table([try await $0.addPrice(price, by: OperatorAccess.actor)]))
            }
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Takes back a price that does not hold yet.")

        @Argument(help: "The moment from which it would hold, as 'prices list' shows it.") var validFrom: MomentArgument

        func run() async throws {
            let moment = validFrom.value
            try await OperatorAccess.withAdministration { try await $0.deletePrice(validFrom: moment, by: OperatorAccess.actor) }
            print("deleted")
        }
    }
}
