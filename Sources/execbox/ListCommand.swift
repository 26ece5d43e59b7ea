import ArgumentParser
import ExecboxAPI
import ExecboxClient
import ExecboxModel

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// `execbox ls`.
struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "ls", abstract: "Lists sessions, newest first.", aliases: ["list", "ps"])

    @OptionGroup var server: ServerOptions
    @Flag(name: .shortAndLong, help: "Sessions that have ended, too.")
    var all = false
    @Option(help: "Only those with this status. May repeat.")
    var status: [SessionStatus] = []
    @Option(name: .shortAndLong, help: "Only those with this label: KEY=VALUE. May repeat.")
    var label: [PairArgument] = []
    @Option(help: "At most so many.")
    var limit = 50
    @Flag(name: .shortAndLong, help: "Ids only.")
    var quiet = false
    @Flag(help: "The session objects as JSON.")
    var json = false

    func run() async throws {
        let client = try server.client()
        var query = ListSessionsQuery()
        query.statuses = status.isEmpty && !all ? SessionStatus.allCases.filter { !$0.isTerminal } : status
        query.labels = Dictionary(label.map { ($0.key, $0.value ?? "") }) { $1 }
        var sessions: [SessionBody] = []
        repeat {
            query.limit = max(1, min(200, limit - sessions.count))
            let page = try await client.sessions.list(query)
            sessions += page.sessions
            query.cursor = page.nextCursor
        } while query.cursor != nil && sessions.count < limit
        let output = StandardOutput()
        if json { return try await output.write(JSONText.pretty(sessions)) }
        if quiet { return try await output.write(sessions.map { "\($0.id)\n" }.joined()) }
        try await output.write(Table(header: ["SESSION", "IMAGE", "COMMAND", "STATUS", "AGE", "LABELS"], rows: sessions.map(row)).text)
    }

    private func row(_ session: SessionBody) -> [String] {
        var status = session.status.rawValue
        if let reason = session.reason { status += " (\(reason.rawValue)\(session.exitCode.map { " \($0)" } ?? ""))" }
        let now = Int64(time(nil))
        return [
            session.id, session.image, session.command.joined(separator: " "), status,
            Self.age(seconds: now - session.createdAt.unixMicroseconds / 1_000_000),
            session.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " "),
        ]
    }

    private static func age(seconds: Int64) -> String {
        switch max(0, seconds) {
        case let count where count < 120: "\(count)s"
        case let count where count < 7200: "\(count / 60)m"
        case let count where count < 172_800: "\(count / 3600)h"
        case let count: "\(count / 86_400)d"
        }
    }
}

extension SessionStatus: ExpressibleByArgument {}
