import CLibPQ
import Glibc
import Logging

/// A PostgreSQL server of our own, for development: made on first use, reached through a Unix socket that nobody else can open.
///
/// It survives this process: a later start adopts one that still runs.
package struct PrivateCluster: Sendable {
    /// How to connect, as superuser, to the cluster's database `execbox`.
    package let configuration: PostgresConfiguration

    /// Whether it was running before.
    package let wasAdopted: Bool

    private let installation: PostgresInstallation
    private let layout: Layout
    private let logger: Logger

    /// How much the data is worth.
    package enum Durability: Sendable {
        /// As PostgreSQL comes.
        case safe
        /// Nothing is flushed to disk: fast, and gone after a crash of the machine. For tests.
        case throwAway
    }

    /// Makes the cluster if need be, and starts it unless it runs.
    ///
    /// `base` is `/var/lib/execbox` for root (the server then runs as the user `postgres`, which must be able to enter it) and
    /// `~/.local/share/execbox` for others. Two processes that start the same cluster at once get the same server. Not cancellable; throws
    /// `.cluster`, with the output of the failed program in the debug text.
    package static func start(
        _ name: String = "postgres", base: String? = nil, durability: Durability = .safe, logger: Logger
    ) async throws(PostgresError) -> PrivateCluster {
        let cluster = try await DedicatedThread.run("cluster") { () throws(PostgresError) in
            let base = if let base { base } else { try Self.defaultBase() }
            return try Self.startBlocking(name, base: base, durability: durability, logger: logger)
        }
        try await cluster.createDatabase()
        return cluster
    }

    /// Stops the server: sessions are ended, data is kept. Does nothing if it does not run.
    package func stop() async throws(PostgresError) {
        try await DedicatedThread.run("cluster") { () throws(PostgresError) in
            guard try Self.isRunning(self.installation, self.layout) else { return }
            let arguments = ["stop", "--pgdata", self.layout.data, "--mode", "fast", "--wait", "--timeout", "60"]
            try ChildProcess.run(try self.installation.command("pg_ctl", arguments))
        }
    }

    /// Stops the server and deletes all its data.
    package func remove() async throws(PostgresError) {
        try await self.stop()
        try await DedicatedThread.run("cluster") { () throws(PostgresError) in
            for directory in [self.layout.root, self.layout.socket] {
                try ChildProcess.run(["/bin/rm", "-rf", "--one-file-system", "--", directory])
            }
        }
    }

    /// Sees to it that a throw-away cluster is removed when this process is gone, however it went: a shell in a session of its own waits
    /// for the end of a pipe that only this process holds. For tests; call it once.
    package func removeWhenThisProcessEnds() throws(PostgresError) {
        let stop = try self.installation.command("pg_ctl", ["stop", "--pgdata", self.layout.data, "--mode", "immediate", "--silent"])
        let quoted = stop.map { "'\($0.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''"))'" }
        let script = "read line; \(quoted.joined(separator: " ")); exec rm -rf --one-file-system -- \"$0\" \"$1\" \"$0.lock\""
        try ChildProcess.leaveBehind(["/bin/sh", "-c", script, self.layout.root, self.layout.socket])
    }

    // MARK: - On a thread of its own

    private struct Layout: Sendable {
        let root: String
        let data: String
        let log: String
        let socket: String

        init(_ base: String, _ name: String) {
            self.root = "\(base)/\(name)"
            self.data = "\(self.root)/data"
            self.log = "\(self.root)/server.log"
            // The kernel takes 107 bytes for the socket's path, which libpq ends with /.s.PGSQL.5432.
            let socket = "\(self.root)/run"
            let digest = self.root.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
            self.socket = socket.utf8.count + 14 < 107 ? socket : "/tmp/execbox-\(geteuid())-\(String(digest, radix: 16))"
        }
    }

    private static func startBlocking(
        _ name: String, base: String, durability: Durability, logger: Logger
    ) throws(PostgresError) -> PrivateCluster {
        let isPlain = name.utf8.allSatisfy { byte in "abcdefghijklmnopqrstuvwxyz0123456789-_".utf8.contains(byte) }
        guard isPlain, !name.isEmpty, base.hasPrefix("/") else {
            throw PostgresError(.configuration, "a private cluster has a plain name and an absolute directory")
        }
        let layout = Layout(base, name)
        try ChildProcess.run(["/bin/mkdir", "-p", "--mode=0755", "--", base])
        let lock = try Self.lock("\(base)/\(name).lock")
        defer { close(lock) }

        let installation = try PostgresInstallation.find(version: Self.dataVersion(layout))
        for directory in [layout.root, layout.socket] { try Self.makePrivate(directory, installation.account) }
        let wasAdopted = try Self.isRunning(installation, layout)
        if !wasAdopted {
            if access("\(layout.data)/PG_VERSION", F_OK) != 0 { try Self.initialize(installation, layout, durability) }
            try Self.configure(layout, durability)
            let arguments = ["start", "--pgdata", layout.data, "--log", layout.log, "--wait", "--timeout", "60"]
            try Self.startServer(try installation.command("pg_ctl", arguments))
        }
        var configuration = PostgresConfiguration(host: layout.socket, user: "execbox", database: "execbox")
        configuration.sslMode = "disable"
        logger.debug("private cluster runs", metadata: ["data": "\(layout.data)", "adopted": "\(wasAdopted)"])
        return PrivateCluster(
            configuration: configuration, wasAdopted: wasAdopted, installation: installation, layout: layout, logger: logger)
    }

    /// After a server was killed its helper processes live on for a moment, and it cannot be started until they have noticed.
    private static func startServer(_ command: [String]) throws(PostgresError) {
        for _ in 0..<5 {
            do throws(PostgresError) {
                try ChildProcess.run(command)
                return
            } catch {
                sleep(1)
            }
        }
        try ChildProcess.run(command)
    }

    /// Holds the returned descriptor's lock until it is closed: one start at a time.
    private static func lock(_ path: String) throws(PostgresError) -> Int32 {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw PostgresError(.cluster, "\(path): \(systemMessage(errno))") }
        while flock(descriptor, LOCK_EX) != 0 {
            guard errno == EINTR else {
                close(descriptor)
                throw PostgresError(.cluster, "\(path): \(systemMessage(errno))")
            }
        }
        return descriptor
    }

    /// A directory that only the server's account can enter. One that is there already must be just that: `/tmp` is everybody's.
    private static func makePrivate(_ path: String, _ account: PostgresInstallation.Account?) throws(PostgresError) {
        if mkdir(path, 0o700) == 0 {
            guard let account else { return }
            guard chown(path, account.user, account.group) != 0 else { return }
            throw PostgresError(.cluster, "chown \(path): \(systemMessage(errno))")
        }
        guard errno == EEXIST else { throw PostgresError(.cluster, "mkdir \(path): \(systemMessage(errno))") }
        var status = stat()
        let isOurs = lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR && status.st_uid == account?.user ?? geteuid()
        guard isOurs, status.st_mode & 0o077 == 0 else {
            throw PostgresError(.cluster, "\(path) is not a directory that only the server's account can enter")
        }
    }

    private static func initialize(
        _ installation: PostgresInstallation, _ layout: Layout, _ durability: Durability
    ) throws(PostgresError) {
        // Made beside and renamed when complete: a crash in between leaves nothing that looks like a cluster.
        let unfinished = layout.data + ".new"
        try ChildProcess.run(["/bin/rm", "-rf", "--one-file-system", "--", unfinished])
        var arguments = [
            "--pgdata", unfinished, "--username", "execbox", "--auth-local", "trust", "--auth-host", "reject", "--encoding", "UTF8",
            "--no-locale", "--no-instructions",
        ]
        if durability == .throwAway { arguments.append("--no-sync") }
        try ChildProcess.run(try installation.command("initdb", arguments))
        try Self.write("\ninclude_if_exists = 'execbox.conf'\n", to: unfinished + "/postgresql.conf", O_APPEND)
        guard rename(unfinished, layout.data) == 0 else { throw PostgresError(.cluster, "rename: \(systemMessage(errno))") }
    }

    /// Written before every start, so that it follows the program's version and the place of the directory.
    private static func configure(_ layout: Layout, _ durability: Durability) throws(PostgresError) {
        let socket = layout.socket.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
        var lines = [
            "# Written by execboxd at every start.", "listen_addresses = ''", "port = 5432", "unix_socket_directories = '\(socket)'",
            "unix_socket_permissions = 0700", "max_connections = 200", "timezone = 'UTC'", "log_timezone = 'UTC'",
        ]
        if durability == .throwAway {
            lines += ["fsync = off", "synchronous_commit = off", "full_page_writes = off", "shared_buffers = '32MB'"]
        }
        try Self.write(lines.joined(separator: "\n") + "\n", to: layout.data + "/execbox.conf", O_CREAT | O_TRUNC)
    }

    private static func write(_ text: String, to path: String, _ flags: Int32) throws(PostgresError) {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0o644)
        guard descriptor >= 0 else { throw PostgresError(.cluster, "\(path): \(systemMessage(errno))") }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
            throw PostgresError(.cluster, "\(path): \(systemMessage(errno))")
        }
        // The data directory keeps others out; the server itself has to read the file whatever our umask is.
        fchmod(descriptor, 0o644)
    }

    /// Whether the process in `postmaster.pid` is this cluster's server: it works in its data directory. A number left over from a crash may
    /// belong to anything by now, and a file that says so is removed, since the server would believe it.
    private static func isRunning(_ installation: PostgresInstallation, _ layout: Layout) throws(PostgresError) -> Bool {
        let file = layout.data + "/postmaster.pid"
        guard let pid = Self.firstLine(file).flatMap({ pid_t($0) }), pid > 0 else { return false }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlink("/proc/\(pid)/cwd", &buffer, buffer.count)
        let directory = String(decoding: buffer.prefix(max(0, length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard let real = realpath(layout.data, nil) else { return false }
        defer { free(real) }
        if length > 0, directory == String(cString: real) { return true }
        unlink(file)
        return false
    }

    private static func dataVersion(_ layout: Layout) -> Int? {
        Self.firstLine(layout.data + "/PG_VERSION").flatMap { Int($0) }
    }

    private static func firstLine(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = read(descriptor, &buffer, buffer.count)
        return buffer.prefix(max(0, count)).split(separator: UInt8(ascii: "\n")).first.map { String(decoding: $0, as: UTF8.self) }
    }

    // MARK: - Through the connection

    /// Waits until the server takes connections (an adopted one may still be recovering) and makes the database on first use.
    private func createDatabase() async throws(PostgresError) {
        var configuration = self.configuration
        configuration.database = "postgres"
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            do throws(PostgresError) {
                let connection = try await PostgresConnection.connect(configuration, logger: self.logger)
                let name = self.configuration.database
                if try await connection.query("SELECT 1 FROM pg_database WHERE datname = \(name)").isEmpty {
                    try await connection.runScript(SQL("CREATE DATABASE \(identifier: name)").text)
                }
                return await connection.close()
            } catch {
                // Another process that started at the same moment may have made it first.
                let isPassing = error.code == .unavailable || error.isServer(class: "42") || error.isServer(class: "55")
                guard isPassing, .now < deadline else { throw error.recoded(.cluster) }
            }
            do { try await Task.sleep(for: .milliseconds(100)) } catch { throw PostgresError(.cancelled, "cancelled while starting") }
        }
    }

    private static func defaultBase() throws(PostgresError) -> String {
        if geteuid() == 0 { return "/var/lib/execbox" }
        if let data = getenv("XDG_DATA_HOME"), data.pointee != 0 { return String(cString: data) + "/execbox" }
        guard let home = getenv("HOME"), home.pointee != 0 else { throw PostgresError(.cluster, "HOME is not set") }
        return String(cString: home) + "/.local/share/execbox"
    }
}
