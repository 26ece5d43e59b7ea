import ExecboxAgentClient
import ExecboxModel
import ExecboxSandbox
import ExecboxWire
import Foundation
import Logging
import NIOPosix
import Testing

/// A server process's links, one link among them, and its folder.
struct LinkFixture: Sendable {
    static let serverID = "0123abcd"

    let links: AgentLinks
    let link: AgentLink
    let sandboxID: SandboxID
    let directory: String

    var path: String { "\(directory)/\(Self.serverID).sock" }

    /// Runs `body` with a link whose agent is expected in this process, and closes everything.
    static func run(
        directory: String? = nil,
        peerPID: Int32? = getpid(),
        limits: AgentLinkLimits = AgentLinkLimits(),
        _ body: (LinkFixture) async throws -> Void
    ) async throws {
        let directory = try directory ?? makeDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let links = AgentLinks(
            serverID: serverID,
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            logger: logger,
            limits: limits
        )
        let sandboxID = SandboxID.make(unixMilliseconds: 1)
        let link = try await links.open(sandboxID, transport: .dialOut(directory: directory, peerPID: peerPID))
        let fixture = LinkFixture(links: links, link: link, sandboxID: sandboxID, directory: directory)
        let result: Result<Void, any Error>
        do {
            try await body(fixture)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await links.close(sandboxID)
        // A connection that the kernel handed over in this moment is closed a little later.
        await fixture.expectServerSockets(0...0)
        #expect(!FileManager.default.fileExists(atPath: fixture.path), "the socket is unlinked with the link")
        try result.get()
    }

    /// Short: socket paths are limited.
    static func makeDirectory() throws -> String {
        let directory = "/tmp/eb-\(getpid())-\(String(UInt32.random(in: 0 ... .max), radix: 36))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        return directory
    }

    /// Sockets that the server has open in its folder: the listening one and every accepted one carry its path.
    ///
    /// The kernel's table may change while it is read: ask more than once (`eventually`).
    var serverSockets: Int {
        // Foundation stops at the first short read, and a table in /proc comes in pieces of a page.
        let descriptor = open("/proc/net/unix", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return -1 }
        defer { Glibc.close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = read(descriptor, &piece, piece.count)
            guard count > 0 else { break }
            bytes += piece[..<count]
        }
        // Other processes' names need not be UTF-8.
        let table = String(decoding: bytes, as: UTF8.self)
        return table.split(separator: "\n").count { $0.hasSuffix(" " + path) }
    }
}

extension LinkFixture {
    /// Returns as soon as so many sockets of the server are open.
    func expectServerSockets(_ count: ClosedRange<Int>, sourceLocation: SourceLocation = #_sourceLocation) async {
        let seen = Tally(0)
        await eventually("sockets of the server", sourceLocation: sourceLocation, detail: { "\(seen.value) instead of \(count)" }) {
            seen.update { $0 = serverSockets }
            return count.contains(seen.value)
        }
    }
}

/// Returns as soon as the condition holds; fails the test after 20 s and 500 looks, so that a busy machine gets its chance.
func eventually(
    _ what: Comment,
    sourceLocation: SourceLocation = #_sourceLocation,
    detail: @Sendable () -> String = { "" },
    _ condition: @Sendable () throws -> Bool
) async rethrows {
    let deadline = ContinuousClock.now + .seconds(20)
    var looks = 0
    while looks < 500 || ContinuousClock.now < deadline {
        if try condition() { return }
        looks += 1
        try? await Task.sleep(for: .milliseconds(2))
    }
    Issue.record("\(what) \(detail())", sourceLocation: sourceLocation)
}

/// The error that `body` throws, nil if it does not throw an `AgentLinkError`.
func linkError<Value>(_ body: () async throws -> Value) async -> AgentLinkError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error as? AgentLinkError
    }
}
