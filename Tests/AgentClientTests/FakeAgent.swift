import ExecboxWire
import Foundation
import Synchronization

/// An agent made of plain sockets and threads: as honest or as hostile as its script.
final class FakeAgent: Sendable {
    /// Handles one connection after the server's first message on it; the connection is closed when it returns.
    typealias Script = @Sendable (FakeConnection, AgentMessage) -> Void

    private struct State {
        var open: [ObjectIdentifier: FakeConnection] = [:]
        var isStopped = false
        var threads = 0
    }

    let path: String
    let hello: Hello
    private let script: Script
    private let state = Mutex(State())

    /// - Parameter parked: how many connections it keeps idle.
    init(path: String, bootID: UInt8 = 1, parked: Int = 2, version: UInt16 = AgentMessage.protocolVersion, script: @escaping Script) {
        self.path = path
        self.script = script
        hello = Hello(protocolVersion: version, agentVersion: "fake", bootID: Self.bootID(bootID), mainStarted: false)
        for _ in 0..<parked { startConnection() }
    }

    static func bootID(_ seed: UInt8) -> [UInt8] { Array(repeating: seed, count: Hello.bootIDLength) }

    private func startConnection() {
        let isStopped = state.withLock { state in
            if !state.isStopped { state.threads += 1 }
            return state.isStopped
        }
        guard !isStopped else { return }
        let thread = Thread { [self] in
            run()
            state.withLock { $0.threads -= 1 }
        }
        thread.stackSize = 256 * 1024
        thread.start()
    }

    private func run() {
        guard let connection = FakeConnection.dial(path) else { return retry() }
        let isStopped = state.withLock { state in
            state.open[ObjectIdentifier(connection)] = connection
            return state.isStopped
        }
        defer {
            _ = state.withLock { $0.open.removeValue(forKey: ObjectIdentifier(connection)) }
            connection.close()
        }
        guard !isStopped else { return }
        connection.write(.hello(hello))
        guard let operation = connection.readMessage() else { return retry() }
        // As the real one: another idle connection takes the place of the one in use.
        startConnection()
        script(connection, operation)
    }

    private func retry() {
        usleep(5000)
        startConnection()
    }

    /// Ends all its connections, as a killed agent does, and waits for its threads.
    func stop() async {
        let open = state.withLock { state in
            state.isStopped = true
            return Array(state.open.values)
        }
        for connection in open { connection.shutDown() }
        while state.withLock({ $0.threads }) > 0 { await Task.yield() }
    }
}
