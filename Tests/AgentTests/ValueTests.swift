import ExecboxWire
import Testing

@testable import ExecboxAgent

@Suite("The agent's user database")
struct UserDatabaseTests {
    private let database = UserDatabase(
        passwd: Array(
            """
            root:x:0:0:root:/root:/bin/sh
            # comment
            broken line
            nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
            builder:x:1000:100:Builder,,,:/home/builder:/bin/bash
            homeless:x:1001:100:::
            1000:x:2000:2000::/digits:/bin/sh
            huge:x:4294967295:1::/:/bin/sh
            """.utf8),
        group: Array("root:x:0:\nusers:x:100:\nwheel:x:10:root,builder\ndocker:x:999:builder,builder\nwheel2:x:10:builder\n".utf8))

    @Test("finds users by name with all their groups")
    func byName() throws {
        #expect(
            try database.identity(of: "builder")
                == .init(user: 1000, group: 100, supplementaryGroups: [10, 999], name: "builder", home: "/home/builder"))
        #expect(try database.identity(of: "") == .init(user: 0, group: 0, supplementaryGroups: [10], name: "root", home: "/root"))
        #expect(try database.identity(of: "homeless").home == "/")
    }

    @Test("takes a named group in place of all others")
    func withGroup() throws {
        #expect(try database.identity(of: "builder:wheel").group == 10)
        #expect(try database.identity(of: "builder:wheel").supplementaryGroups == [])
        #expect(try database.identity(of: "nobody:1234").group == 1234)
    }

    @Test("needs no entry for numbers")
    func byNumber() throws {
        #expect(try database.identity(of: "4242:4343") == .init(user: 4242, group: 4343, supplementaryGroups: [], name: "", home: "/"))
        #expect(try database.identity(of: "4242") == .init(user: 4242, group: 0, supplementaryGroups: [], name: "", home: "/"))
        #expect(try database.identity(of: "65534").name == "nobody")
        #expect(try UserDatabase(passwd: [], group: []).identity(of: "0:0").user == 0)
    }

    @Test("prefers a name of digits to the number")
    func digits() throws {
        #expect(try database.identity(of: "1000").user == 2000)
    }

    @Test(
        "refuses unknown names and impossible numbers",
        arguments: ["ghost", "builder:ghosts", "-1", "4294967295", "2147483648", "99999999999999999999", "huge", " root", "0x0"])
    func unknown(_ text: String) {
        #expect { try database.identity(of: text) } throws: { ($0 as? AgentFailure)?.code == .unknownUser }
    }
}

@Suite("Signal names")
struct SignalNameTests {
    @Test(
        "are understood with and without prefix, in any case, as numbers and as real-time steps",
        arguments: [
            ("SIGTERM", 15), ("TERM", 15), ("sigint", 2), ("KILL", 9), ("SIGWINCH", 28), ("SIGCLD", 17), ("SIGPOLL", 29), ("9", 9),
            ("SIGRTMIN", 34), ("SIGRTMIN+3", 37), ("RTMAX-1", 63), ("SIGRTMAX", 64), ("64", 64), ("SIGSYS", 31),
        ])
    func known(_ name: String, _ number: Int32) {
        #expect(SignalName.number(of: name) == number)
    }

    @Test(
        "are refused when there is no such signal",
        arguments: ["", "SIG", "SIGFOO", "0", "65", "-9", "SIGRTMIN+31", "SIGRTMIN-1", "999999"])
    func unknown(_ name: String) {
        #expect(SignalName.number(of: name) == nil)
    }

    @Test("and numbers lead to each other")
    func roundTrip() {
        for number in Int32(1)...64 where number != 32 && number != 33 {
            #expect(SignalName.number(of: SignalName.name(of: number)) == number)
        }
        #expect(SignalName.name(of: 9) == "SIGKILL")
    }
}

@Suite("SHA-256")
struct SHA256Tests {
    @Test(
        "gives the standard's answers",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
            (String(repeating: "a", count: 1000), "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"),
        ])
    func vectors(_ message: String, _ hex: String) {
        let hash = SHA256.hash(Array(message.utf8)).map { String(UInt16($0) + 256, radix: 16).dropFirst() }.joined()
        #expect(hash == hex)
    }

    @Test("compares whole hashes")
    func compares() {
        let hash = SHA256.hash([1, 2, 3])
        #expect(SHA256.areEqual(hash, hash))
        #expect(!SHA256.areEqual(hash, SHA256.hash([1, 2, 4])))
        #expect(!SHA256.areEqual(hash, Array(hash.dropLast())))
        #expect(!SHA256.areEqual([], hash))
    }
}

@Suite("An environment")
struct EnvironmentTests {
    @Test("holds every name once, the last value at the first place")
    func lastWins() {
        var environment = Environment(["A=1", "B=2", "A=3", "=odd", "C", "é=x", "e\u{301}=y"])
        environment.add(["B=", "D=a=b"])
        environment.setIfAbsent("A", "no")
        environment.setIfAbsent("E", "5")
        #expect(environment.entries == ["A=3", "B=", "=odd", "C", "é=x", "e\u{301}=y", "D=a=b", "E=5"])
        #expect(environment.value(of: "D") == "a=b")
        #expect(environment.value(of: "B") == "")
        #expect(environment.value(of: "Z") == nil)
    }
}

@Suite("The agent's command line")
struct ConfigurationTests {
    @Test("names a folder to dial out to")
    func dialOut() {
        let configuration = Configuration(arguments: ["--dial-out", "/run/x", "--orphan-seconds", "2"])
        #expect(configuration?.transport == .dialOut(directory: "/run/x"))
        #expect(configuration?.orphanSeconds == 2)
        #expect(configuration?.slowReaderSeconds == 30)
    }

    @Test("or an address to listen on and the hash of a secret", arguments: [("10.0.0.1:80", "10.0.0.1"), ("[fdaa::3]:80", "fdaa::3")])
    func listen(_ place: String, _ address: String) {
        let hex = String(repeating: "0aF1", count: 16)
        let configuration = Configuration(arguments: ["--listen", place, "--secret-sha256", hex])
        let hash = [[UInt8]](repeating: [0x0A, 0xF1], count: 16).flatMap(\.self)
        #expect(configuration?.transport == .listen(address: address, port: 80, secretHash: hash))
    }

    @Test(
        "and nothing else",
        arguments: [
            [], ["--dial-out"], ["--dial-out", "relative"], ["--dial-out", "/a", "--dial-out", "/b"], ["--dial-out", "/a", "extra"],
            ["--dial-out", "/a", "--orphan-seconds", "0"], ["--dial-out", "/a", "--what", "1"], ["--listen", "1.2.3.4:80"],
            ["--listen", "1.2.3.4:80", "--secret-sha256", "00"],
            ["--listen", "1.2.3.4:99999", "--secret-sha256", String(repeating: "0", count: 64)],
        ])
    func refuses(_ arguments: [String]) {
        #expect(Configuration(arguments: arguments) == nil)
    }
}
