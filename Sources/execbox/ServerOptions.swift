import ArgumentParser
import ExecboxClient

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Where the server is. The key has no flag, because every user of this machine can read a command line.
struct ServerOptions: ParsableArguments {
    @Option(help: "The server's address (default: EXECBOX_URL, else http://127.0.0.1:8080).")
    var url: String?

    func client() throws -> ExecboxClient {
        guard let key = getenv("EXECBOX_API_KEY").map({ String(cString: $0) }), !key.isEmpty else {
            throw ExecboxClientError(.unauthorized, "EXECBOX_API_KEY is not set")
        }
        let address = url ?? getenv("EXECBOX_URL").map { String(cString: $0) } ?? "http://127.0.0.1:8080"
        return try ExecboxClient(url: address, apiKey: key)
    }
}
