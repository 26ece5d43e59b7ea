import ArgumentParser
import Hummingbird

/// The least that a server on the same HTTP stack can be: what ours is measured against.
struct BareServer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bare-server", abstract: "Serves \"hello\" until it is ended.", shouldDisplay: false)

    @Option(help: "The port on 127.0.0.1.")
    var port: Int

    func run() async throws {
        let router = Router()
        router.get("hello") { _, _ in "hello" }
        try await Application(router: router, configuration: .init(address: .hostname("127.0.0.1", port: port))).runService()
    }
}
