import Testing

@testable import ExecboxPostgres

@Suite("A connection URL") struct ConfigurationTests {
    private func keywords(_ url: String) throws -> [String: String] {
        Dictionary(try PostgresConfiguration(url: url).keywords, uniquingKeysWith: { $1 })
    }

    @Test("gives host, port, user, password and database")
    func parts() throws {
        let keywords = try self.keywords("postgres://ann:secret@db.example:6000/shop?sslmode=verify-full")
        #expect(keywords["host"] == "db.example")
        #expect(keywords["port"] == "6000")
        #expect(keywords["user"] == "ann")
        #expect(keywords["password"] == "secret")
        #expect(keywords["dbname"] == "shop")
        #expect(keywords["sslmode"] == "verify-full")
    }

    @Test("is percent-decoded, so that any password works")
    func decoding() throws {
        let keywords = try self.keywords("postgresql://a%40b:p%2Fw%27%20%3A@h/d%20b")
        #expect(keywords["user"] == "a@b")
        #expect(keywords["password"] == "p/w' :")
        #expect(keywords["dbname"] == "d b")
    }

    @Test("can point to a Unix socket", arguments: ["postgres://u@/d?host=/run/pg", "postgres://u@%2Frun%2Fpg/d"])
    func sockets(url: String) throws {
        let keywords = try self.keywords(url)
        #expect(keywords["host"] == "/run/pg")
        #expect(keywords["dbname"] == "d")
        #expect(keywords["sslmode"] == "prefer")
    }

    @Test("can name several hosts, IPv6 among them")
    func hosts() throws {
        let keywords = try self.keywords("postgres://u@a:1,[::1]:2,[::2]/d")
        #expect(keywords["host"] == "a,::1,::2")
        #expect(keywords["port"] == "1,2,5432")
    }

    @Test("asks for encryption when the server is another machine")
    func encryption() throws {
        #expect(try self.keywords("postgres://u@db.example/d")["sslmode"] == "require")
        #expect(try self.keywords("postgres://u@localhost/d")["sslmode"] == "prefer")
        #expect(try self.keywords("postgres://u@db.example/d?sslmode=disable")["sslmode"] == "disable")
    }

    @Test("sets timeouts on the server's side too")
    func timeouts() throws {
        let options = try self.keywords("postgres://u@h/d?statement_timeout=1500")["options"]
        #expect(options == "-c statement_timeout=1500 -c idle_in_transaction_session_timeout=60000")
    }

    @Test(
        "is refused when it makes no sense",
        arguments: [
            "", "mysql://u@h/d", "postgres://h/d", "postgres://u@h:x/d", "postgres://u@h:0/d", "postgres://u@h/d?sslmode=maybe",
            "postgres://u@h/d?nonsense=1", "postgres://u%zz@h/d", "postgres://u%00@h/d", "postgres://u%ff@h/d", "postgres://u@[::1/d",
            "postgres://u@h/d?sslmode", "postgres://u@h/d?connect_timeout=-1",
        ])
    func refused(url: String) {
        let error = #expect(throws: PostgresError.self) { try PostgresConfiguration(url: url) }
        #expect(error?.code == .configuration)
    }

    @Test("never shows its password, not even in an error")
    func secrecy() throws {
        #expect(!"\(try PostgresConfiguration(url: "postgres://u:hunter2@h/d"))".contains("hunter2"))
        let error = #expect(throws: PostgresError.self) { try PostgresConfiguration(url: "postgres://u:hunter2@h:x/d") }
        #expect(error?.debugDescription.contains("hunter2") == false)
    }
}
