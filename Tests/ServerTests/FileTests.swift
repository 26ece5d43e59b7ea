import ExecboxAPI
import ExecboxCurl
import ExecboxModel
import ExecboxTestRandom
import ExecboxTestSupport
import Foundation
import Glibc
import Testing

/// `/v1/sessions/{id}/files` against real sandboxes.
@Suite(.timeLimit(.minutes(5))) struct FileTests {
    private static let curl = CurlClient()

    /// A session that does nothing, and requests to its files.
    private struct Folder {
        let server: ServerProcess
        let id: String

        func call(
            _ method: String, _ query: String, body: [UInt8]? = nil, headers: [CurlHeader] = []
        ) async throws -> CurlResponse {
            try await FileTests.curl.send(
                CurlRequest(
                    method: method, url: "http://127.0.0.1:\(server.port)/v1/sessions/\(id)/files?\(query)",
                    headers: headers + [CurlHeader("Authorization", "Bearer \(server.key)")], body: body.map { .bytes($0) } ?? .none,
                    timeouts: CurlTimeouts(total: .seconds(60))), maximumBodyBytes: 64 << 20)
        }

        func names(_ path: String) async throws -> [String] {
            let answer = try await call("GET", "path=\(path)&list=true")
            #expect(answer.status == 200)
            return try FolderBody.fromJSON(answer.body).entries.map(\.name)
        }

        func shell(_ command: String) async throws -> String {
            let json = String(decoding: try JSONEncoder().encode(["sh", "-c", command]), as: UTF8.self)
            let answer = try await server.request("POST", "/v1/sessions/\(id)/exec", json: #"{"command":\#(json)}"#)
            return String(decoding: try ExecResultBody.fromJSON(answer.body).stdout, as: UTF8.self)
        }
    }

    private func withFolder(extra: String = "", _ body: @Sendable (Folder) async throws -> Void) async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sleep", "600"], extra: extra)
            try await body(Folder(server: server, id: session.id))
        }
    }

    private static func header(_ name: String, of answer: CurlResponse) -> String? {
        answer.headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    private static func bytes(_ count: Int) -> [UInt8] {
        var random = SeededGenerator(seed: UInt64(count))
        return (0..<count / 8).flatMap { _ in withUnsafeBytes(of: random.next()) { Array($0) } }
    }

    @Test func whatIsUploadedIsDownloadedAgainWithItsHashAndMode() async throws {
        try await withFolder { folder async throws -> Void in
            let bytes = Self.bytes(9 << 20)
            let put = try await folder.call("POST", "path=/tmp/a/b/file.bin&mode=0750", body: bytes)
            #expect(put.status == 201)
            let written = try FileWrittenBody.fromJSON(put.body)
            #expect(written.path == "/tmp/a/b/file.bin" && written.size == Int64(bytes.count))
            #expect(try await folder.shell("sha256sum </tmp/a/b/file.bin; stat -c %a /tmp/a/b/file.bin") == "\(written.sha256)  -\n750\n")
            let got = try await folder.call("GET", "path=/tmp/a/b/file.bin")
            #expect(got.status == 200 && firstDifference(got.body, bytes) == nil)
            #expect(try await folder.names("/tmp/a/b") == ["file.bin"])
            // Another upload takes its place and keeps its mode.
            #expect(try await folder.call("POST", "path=/tmp/a/b/file.bin", body: []).status == 201)
            #expect(try await folder.shell("stat -c '%s %a' /tmp/a/b/file.bin") == "0 750\n")
        }
    }

    @Test func namesOfAnyBytesAreTaken() async throws {
        try await withFolder { folder async throws -> Void in
            #expect(try await folder.call("POST", "path=/tmp/odd/%ff%0a%22%20+%2b", body: [1]).status == 201)
            #expect(try await folder.call("GET", "path=/tmp/odd/%ff%0a%22%20+%2b").body == [1])
            let list = try FolderBody.fromJSON(try await folder.call("GET", "path=/tmp/odd&list=true").body)
            #expect(list.entries.map(\.nameBase64) == [Data([0xFF, 0x0A, 0x22, 0x20, 0x20, 0x2B]).base64EncodedString()])
            #expect(try await folder.call("DELETE", "path=/tmp/odd/%ff%0a%22%20+%2b").status == 200)
            #expect(try await folder.names("/tmp/odd").isEmpty)
        }
    }

    @Test func partsOfAFileAreGivenAsHTTPSays() async throws {
        try await withFolder { folder async throws -> Void in
            _ = try await folder.call("POST", "path=/tmp/f", body: Array("0123456789".utf8))
            func part(_ range: String) async throws -> (Int, String, String?) {
                let answer = try await folder.call("GET", "path=/tmp/f", headers: [CurlHeader("Range", range)])
                return (answer.status, String(decoding: answer.body, as: UTF8.self), Self.header("Content-Range", of: answer))
            }
            #expect(try await part("bytes=2-4") == (206, "234", "bytes 2-4/10"))
            #expect(try await part("bytes=7-") == (206, "789", "bytes 7-9/10"))
            #expect(try await part("bytes=-3") == (206, "789", "bytes 7-9/10"))
            #expect(try await part("bytes=8-99") == (206, "89", "bytes 8-9/10"))
            #expect(try await part("bytes=1-2,4-5") == (200, "0123456789", nil))
            let beyond = try await folder.call("GET", "path=/tmp/f", headers: [CurlHeader("Range", "bytes=10-")])
            #expect(beyond.status == 416 && Self.header("Content-Range", of: beyond) == "bytes */10")
            let head = try await folder.call("HEAD", "path=/tmp/f")
            #expect(head.status == 200 && head.body.isEmpty && Self.header("Content-Length", of: head) == "10")
            let tag = try #require(Self.header("ETag", of: head))
            #expect(try await folder.call("GET", "path=/tmp/f", headers: [CurlHeader("If-None-Match", tag)]).status == 304)
            let stale = [CurlHeader("Range", "bytes=2-4"), CurlHeader("If-Range", "\"other\"")]
            #expect(try await folder.call("GET", "path=/tmp/f", headers: stale).status == 200)
            #expect(Self.header("Last-Modified", of: head)?.hasSuffix(" GMT") == true)
        }
    }

    @Test func foldersAreMadeListedMovedAndRemoved() async throws {
        try await withFolder { folder async throws -> Void in
            #expect(try await folder.call("POST", "path=/tmp/x/y&type=directory").status == 201)
            _ = try await folder.shell("cd /tmp/x; ln -s /nowhere link; echo hi >b; echo hi >B; touch -d @1000000000 b; chmod 4711 b")
            let list = try FolderBody.fromJSON(try await folder.call("GET", "path=/tmp/x&list=true").body)
            #expect(list.entries.map(\.name) == ["B", "b", "link", "y"])
            #expect(list.entries.map(\.isDir) == [false, false, false, true])
            #expect(list.entries[1].mode == 0o4711 && list.entries[1].size == 3)
            #expect(list.entries[1].modifiedAt == Timestamp(unixMicroseconds: 1_000_000_000_000_000))
            #expect(list.entries[2].target == "/nowhere" && list.entries[3].target == nil)
            #expect(try await folder.call("POST", "path=/tmp/z/moved&from=/tmp/x").status == 201)
            #expect(try await folder.names("/tmp/z/moved") == ["B", "b", "link", "y"])
            #expect(try await folder.call("DELETE", "path=/tmp/z/moved").status == 409)
            #expect(try await folder.call("DELETE", "path=/tmp/z/moved&recursive=true").status == 200)
            #expect(try await folder.names("/tmp/z").isEmpty)
            let execs = try await folder.server.request("GET", "/v1/sessions/\(folder.id)/execs")
            #expect(!String(decoding: execs.body, as: UTF8.self).contains("file_"))
        }
    }

    @Test func aPathThatCannotBeMeantIsRefusedByItsField() async throws {
        try await withFolder { folder async throws -> Void in
            _ = try await folder.shell("mkdir -p /tmp/d; echo x >/tmp/f; mkfifo /tmp/pipe; ln -s loop /tmp/loop")
            let cases: [(String, String, Int, String?)] = [
                ("GET", "path=/tmp/none", 404, "path"), ("GET", "path=/tmp/d", 400, "path"), ("GET", "path=/tmp/f/x", 400, "path"),
                ("GET", "path=tmp", 400, "path"), ("GET", "path=", 400, "path"), ("GET", "list=true", 400, "path"),
                ("GET", "path=/a%00b", 400, "path"), ("GET", "path=/tmp/pipe", 400, "path"), ("GET", "path=/tmp/loop", 400, "path"),
                ("GET", "path=/tmp/f&list=true", 400, "path"), ("GET", "path=/tmp/f&colour=red", 400, "colour"),
                ("GET", "path=/a&path=/b", 400, "path"), ("GET", "path=/\(String(repeating: "x", count: 300))", 400, "path"),
                ("GET", "path=/tmp/f&mode=0644", 400, "mode"), ("POST", "path=/tmp/d", 400, "path"), ("POST", "path=/tmp/", 400, "path"),
                ("POST", "path=/tmp/g&mode=9", 400, "mode"), ("POST", "path=/tmp/f&type=directory", 409, "path"),
                ("POST", "path=/tmp/g&from=/tmp/none", 404, "path"), ("POST", "path=/proc/g", 404, nil), ("DELETE", "path=/", 400, "path"),
                ("DELETE", "path=/tmp/none", 404, "path"), ("DELETE", "path=/tmp/d/..", 400, "path"),
                ("PUT", "path=/tmp/d&archive=tar", 501, "archive"),
            ]
            for (method, query, status, field) in cases {
                let answer = try await folder.call(method, query, body: method == "POST" ? [1] : nil)
                let error = try ErrorBody.fromJSON(answer.body)
                #expect(answer.status == status, "\(method) \(query.prefix(60)): \(error)")
                if let field { #expect(error.details?["field"] == .text(field), "\(method) \(query.prefix(60)): \(error)") }
            }
            #expect(try await folder.names("/tmp") == ["d", "f", "loop", "pipe"])
        }
    }

    @Test func filesAreTheSessionsUsers() async throws {
        try await withFolder(extra: #","user":"1234:1234""#) { folder async throws -> Void in
            #expect(try await folder.call("POST", "path=/etc/mine", body: [1]).status == 403)
            #expect(try await folder.call("POST", "path=/etc/mine", body: Self.bytes(20 << 20)).status == 403)
            #expect(try await folder.call("POST", "path=/tmp/mine", body: [1]).status == 201)
            #expect(try await folder.shell("stat -c '%u %g' /tmp/mine") == "1234 1234\n")
        }
    }

    @Test func anUploadThatBreaksOffLeavesNothing() async throws {
        try await withFolder { folder async throws -> Void in
            #expect(try await folder.call("POST", "path=/tmp/up/old", body: [7]).status == 201)
            let socket = try TestSocket.connect(port: folder.server.port)
            try socket.send(
                """
                POST /v1/sessions/\(folder.id)/files?path=/tmp/up/old HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(folder.server.key)\r
                Content-Length: 10000000\r\n\r\n\(String(repeating: "x", count: 300_000))
                """)
            try await eventually("the upload has begun") { try await folder.names("/tmp/up").count == 2 }
            socket.close()
            try await eventually("nothing of it is left") { try await folder.names("/tmp/up") == ["old"] }
            #expect(try await folder.call("GET", "path=/tmp/up/old").body == [7])
        }
    }

    @Test func anUploadWhoseServerIsLostLeavesNothing() async throws {
        try await withFolder { folder async throws -> Void in
            // What a lost server comes to, a minute later: SIGHUP.
            let left = try await folder.shell(
                #"""
                mkdir /tmp/up && cd /tmp/up && mkfifo /tmp/in
                /.execbox/bin/execbox-agent files write 2f746d702f75702f66 - </tmp/in >/dev/null &
                exec 3>/tmp/in
                printf '\000\000\004\000abc' >&3
                until ls -A | grep -q '^.execbox-'; do sleep 0.01; done
                kill -HUP $!; wait $!; echo $?; ls -A
                """#)
            #expect(left == "1\n")
        }
    }

    @Test func anEndedSessionHasNoFiles() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["true"])
            _ = try await server.ended(session.id)
            #expect(try await Folder(server: server, id: session.id).call("GET", "path=/tmp&list=true").status == 409)
        }
    }
}

/// A TCP connection that does as it is told, and no more.
private struct TestSocket {
    private let descriptor: Int32

    static func connect(port: Int) throws -> TestSocket {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(status == 0)
        return TestSocket(descriptor: descriptor)
    }

    func send(_ text: String) throws {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            try #require(count > 0)
            bytes = bytes.dropFirst(count)
        }
    }

    func close() { Glibc.close(descriptor) }
}
