import ArgumentParser
import ExecboxCurl
import Hummingbird

/// The least that a server on the same HTTP stack can be: what ours is measured against.
struct BareServer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bare-server", abstract: "Serves \"hello\" until it is ended.", shouldDisplay: false)

    /// Free in a room, where nobody else is.
    static let port = 8079
    static let url = "http://127.0.0.1:\(port)/hello"

    @Option(help: "The port on 127.0.0.1.")
    var port = Self.port

    func run() async throws {
        let router = Router()
        router.get("hello") { _, _ in "hello" }
        try await Application(router: router, configuration: .init(address: .hostname("127.0.0.1", port: port))).runService()
    }

    static func waitUntilServing() async throws {
        let curl = CurlClient()
        let deadline = ContinuousClock.now + .seconds(30)
        while (try? await curl.send(CurlRequest(url: url)).status) != 200 {
            guard ContinuousClock.now < deadline else { throw Program.Failure(description: "the bare server does not serve") }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
