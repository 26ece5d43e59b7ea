/// Where the database is and how its connections behave.
///
/// Its description never holds the password.
package struct PostgresConfiguration: Sendable, CustomStringConvertible {
    /// A host name, an address, or the directory of a Unix socket (starts with `/`). Several, tried in order, are separated by commas.
    package var host: String

    /// Ports, separated by commas when hosts are.
    package var port: String

    /// The role to log in as.
    package var user: String

    /// nil: none is sent, unless libpq finds one in its password file.
    package var password: String?

    /// The database to connect to.
    package var database: String

    /// libpq's `sslmode`.
    package var sslMode: String

    /// What the server lists in `pg_stat_activity`.
    package var applicationName = "execbox"

    /// For everything from name resolution's end to the server's "ready".
    package var connectTimeout: Duration = .seconds(5)

    /// The server cancels a statement that runs longer. The client's own deadline, when a call gives none, is 2 s later. nil: no limit.
    package var statementTimeout: Duration? = .seconds(30)

    /// The server hangs up on a transaction that nobody works on for this long, so that its locks go. nil: never.
    package var idleTransactionTimeout: Duration? = .seconds(60)

    /// Silence on TCP before the kernel asks whether the server is still there.
    package var keepalivesIdle: Duration = .seconds(30)

    /// How long sent data may stay unacknowledged before TCP gives the connection up.
    package var tcpUserTimeout: Duration = .seconds(15)

    /// A larger result is refused (`resultTooLarge`) while it arrives, so that no query can fill the memory. Checked row by row.
    package var maximumResultBytes = 64 << 20

    /// Off for poolers that give every transaction another server connection (PgBouncer in transaction mode).
    package var usesPreparedStatements = true

    /// Further libpq keywords, for example `sslrootcert`.
    package var extra: [String: String] = [:]

    /// Takes the values as they are; nothing is decoded or checked until a connection is made. `sslMode` follows from the host, as in a URL.
    package init(host: String, port: String = "5432", user: String, password: String? = nil, database: String) {
        self.host = host
        self.port = port
        self.user = user
        self.password = password
        self.database = database
        self.sslMode = Self.defaultSSLMode(host: host)
    }

    /// A URL without the password.
    package var description: String {
        "postgres://\(self.user)@\(self.host):\(self.port)/\(self.database)"
    }

    /// libpq's keywords and values, in order; a later one wins.
    var keywords: [(String, String)] {
        var settings: [String] = []
        if let statementTimeout { settings.append("-c statement_timeout=\(statementTimeout.wholeMilliseconds)") }
        if let idleTransactionTimeout {
            settings.append("-c idle_in_transaction_session_timeout=\(idleTransactionTimeout.wholeMilliseconds)")
        }
        var keywords = self.extra.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        keywords += [
            ("host", self.host), ("port", self.port), ("user", self.user), ("dbname", self.database), ("sslmode", self.sslMode),
            ("application_name", self.applicationName), ("client_encoding", "UTF8"), ("gssencmode", "disable"),
            ("keepalives", "1"), ("keepalives_idle", "\(max(1, self.keepalivesIdle.components.seconds))"),
            ("keepalives_interval", "5"), ("keepalives_count", "3"),
            ("tcp_user_timeout", "\(self.tcpUserTimeout.wholeMilliseconds)"),
        ]
        // libpq takes an empty value for "not given" and then falls back to PGOPTIONS and a password file.
        if !settings.isEmpty { keywords.append(("options", settings.joined(separator: " "))) }
        if let password { keywords.append(("password", password)) }
        return keywords
    }

    var defaultDeadline: Duration { self.statementTimeout.map { $0 + .seconds(2) } ?? .seconds(24 * 3600) }

    /// A socket or this machine needs no encryption; anything else has to say in the URL that it wants none.
    static func defaultSSLMode(host: String) -> String {
        let isLocal = host.split(separator: ",").allSatisfy {
            $0.hasPrefix("/") || $0.hasPrefix("@") || $0 == "localhost" || $0 == "::1" || $0.hasPrefix("127.")
        }
        return isLocal ? "prefer" : "require"
    }
}
