import Glibc

extension PostgresConfiguration {
    /// Reads `postgres://user:password@host:port/database?sslmode=…`, every part percent-encoded where needed.
    ///
    /// A Unix socket is `postgres:///database?host=/run/postgresql` or a percent-encoded host. IPv6 addresses stand in brackets. Known
    /// queries: `host`, `port`, `user`, `password`, `dbname`, `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `sslcrl`, `channel_binding`,
    /// `target_session_attrs`, `application_name`, `connect_timeout` (s), `statement_timeout` (ms), `prepared_statements` (true or
    /// false). Without `sslmode` a host that is not this machine must offer TLS (`require`); `verify-full` without `sslrootcert` uses
    /// the system's certificates. Throws `.configuration`, without quoting the URL.
    package init(url: String) throws(PostgresError) {
        guard let scheme = ["postgres://", "postgresql://"].first(where: { url.hasPrefix($0) }) else {
            throw Self.invalid("it must start with postgres://")
        }
        var rest = url.dropFirst(scheme.count)
        var query: Substring = ""
        if let mark = rest.firstIndex(of: "?") {
            query = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        var database = ""
        if let slash = rest.firstIndex(of: "/") {
            database = try Self.decoded(rest[rest.index(after: slash)...])
            rest = rest[..<slash]
        }
        var user = ""
        var password: String?
        if let at = rest.lastIndex(of: "@") {
            let parts = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            user = try Self.decoded(parts[0])
            if parts.count == 2 { password = try Self.decoded(parts[1]) }
            rest = rest[rest.index(after: at)...]
        }
        var (host, port) = try Self.addresses(rest)

        var settings: [(String, String)] = []
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw Self.invalid("a query without a value") }
            let value = try Self.decoded(parts[1])
            switch try Self.decoded(parts[0]) {
            case "host": host = value
            case "port": port = value
            case "user": user = value
            case "password": password = value
            case "dbname": database = value
            case let name: settings.append((name, value))
            }
        }
        if host.isEmpty { host = "localhost" }
        if user.isEmpty { throw Self.invalid("it names no user") }
        if port.isEmpty { port = "5432" }
        self.init(host: host, port: port, user: user, password: password, database: database.isEmpty ? user : database)
        for (name, value) in settings { try self.set(name, value) }
        self.useSystemCertificates()
    }

    private mutating func set(_ name: String, _ value: String) throws(PostgresError) {
        switch name {
        case "sslmode":
            guard ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"].contains(value) else {
                throw Self.invalid("unknown sslmode")
            }
            self.sslMode = value
        case "application_name": self.applicationName = value
        case "connect_timeout": self.connectTimeout = .seconds(try Self.number(name, value))
        case "statement_timeout":
            let milliseconds = try Self.number(name, value)
            self.statementTimeout = milliseconds == 0 ? nil : .milliseconds(milliseconds)
        case "prepared_statements":
            guard let flag = Bool(value) else { throw Self.invalid("\(name) is not true or false") }
            self.usesPreparedStatements = flag
        case "sslrootcert", "sslcert", "sslkey", "sslcrl", "channel_binding", "target_session_attrs", "passfile": self.extra[name] = value
        default: throw Self.invalid("unknown query \"\(name)\"")
        }
    }

    // libpq before 16 knows no `sslrootcert=system` and looks for ~/.postgresql/root.crt, which hardly a server has.
    private mutating func useSystemCertificates() {
        let bundle = "/etc/ssl/certs/ca-certificates.crt"
        guard self.sslMode.hasPrefix("verify-"), self.extra["sslrootcert"] == nil, access(bundle, R_OK) == 0 else { return }
        self.extra["sslrootcert"] = bundle
    }

    /// `a:1,b,[::1]:2` as hosts `a,b,::1` and ports `1,5432,2`.
    private static func addresses(_ text: Substring) throws(PostgresError) -> (hosts: String, ports: String) {
        if text.isEmpty { return ("", "") }
        var hosts: [String] = []
        var ports: [String] = []
        for address in text.split(separator: ",", omittingEmptySubsequences: false) {
            var host = address
            var port: Substring = "5432"
            if address.hasPrefix("[") {
                guard let bracket = address.firstIndex(of: "]") else { throw Self.invalid("a bracket is not closed") }
                host = address[address.index(after: address.startIndex)..<bracket]
                let after = address[address.index(after: bracket)...]
                if after.hasPrefix(":") { port = after.dropFirst() } else if !after.isEmpty { throw Self.invalid("text after a bracket") }
            } else if let colon = address.lastIndex(of: ":") {
                host = address[..<colon]
                port = address[address.index(after: colon)...]
            }
            guard let number = UInt16(port), number > 0 else { throw Self.invalid("a port is not a number from 1 to 65535") }
            hosts.append(try Self.decoded(host))
            ports.append("\(number)")
        }
        return (hosts.joined(separator: ","), ports.joined(separator: ","))
    }

    private static func number(_ name: String, _ value: String) throws(PostgresError) -> Int {
        guard let number = Int(value), (0...86_400_000).contains(number) else { throw Self.invalid("\(name) is not a number") }
        return number
    }

    private static func decoded(_ text: Substring) throws(PostgresError) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16), value != 0 else {
                throw Self.invalid("a percent sign without two hexadecimal digits")
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else { throw Self.invalid("it is not UTF-8") }
        return decoded
    }

    // Never quotes the URL: it holds the password.
    private static func invalid(_ why: String) -> PostgresError {
        PostgresError(.configuration, "the database URL is not valid: \(why)")
    }
}
