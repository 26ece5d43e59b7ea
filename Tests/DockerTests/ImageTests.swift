import ExecboxCurl
import ExecboxModel
import ExecboxSandbox
import ExecboxTestSupport
import FoundationEssentials
import Testing

@testable import ExecboxDocker

@Suite(.timeLimit(.minutes(5)), .serialized)
struct ImageTests {
    @Test(
        "names are spelled out as the engine means them",
        arguments: [
            ("alpine", "docker.io/library/alpine:latest"), ("alpine:3", "docker.io/library/alpine:3"),
            ("execbox/base", "docker.io/execbox/base:latest"),
            ("localhost/x", "localhost/x:latest"), ("localhost:5000/x/y:T_1", "localhost:5000/x/y:T_1"),
            ("ghcr.io/a/b-c.d__e", "ghcr.io/a/b-c.d__e:latest"),
            ("index.docker.io/alpine", "docker.io/library/alpine:latest"),
            ("a/b@sha256:\(String(repeating: "a", count: 64))", "docker.io/a/b@sha256:\(String(repeating: "a", count: 64))"),
            ("a:1@sha256:\(String(repeating: "0", count: 64))", "docker.io/library/a@sha256:\(String(repeating: "0", count: 64))"),
        ])
    func names(name: String, text: String) throws {
        #expect(try ImageReference(name).text == text)
    }

    @Test(
        "what is no image name is refused before the engine sees it",
        arguments: [
            "", " ", "a b", "UPPER", "a//b", "/a", "a/", "a:", "a:b:c", "a@", "a@sha256:12", "-a", "a..b", "a___b", "a?x=1", "a%2f", "../a",
            "a\n", "ä",
            "sha256:\(String(repeating: "a", count: 64))", "sha256:1", String(repeating: "a", count: 64), "x_y.io/a", "host:99999/a",
            String(repeating: "a", count: 600),
        ])
    func noNames(name: String) {
        #expect {
            _ = try ImageReference(name)
        } throws: { error in
            if case .invalidSpec = error as? BackendError { true } else { false }
        }
    }

    @Test(
        "a registry's refusal is told by its words",
        arguments: [
            ("manifest for x:y not found: manifest unknown: manifest unknown", "imageNotFound"),
            ("pull access denied for x, repository does not exist or may require 'docker login'", "imageNotFound"),
            ("no matching manifest for linux/amd64 in the manifest list entries", "imageRejected"),
            ("toomanyrequests: You have reached your pull rate limit", "rateLimited"),
            ("write /x: no space left on device", "noCapacity"), ("Get https://x/v2/: dial tcp: connection refused", "imageRejected"),
            ("unauthorized: authentication required", "imageRejected"),
        ])
    func pullErrors(words: String, kind: String) {
        let error = DockerBackend.pullError(DockerFailure(status: 500, message: words))
        #expect("\(error)".hasPrefix(kind))
    }

    @Test("an image is pulled by tag and by digest, with progress, and described")
    func pull() async throws {
        let registry = try TestEngine.variable("EXECBOX_TEST_REGISTRY")
        try await TestEngine.with { engine in
            let name = "\(registry)/execbox/test:latest"
            try await engine.docker("DELETE", "/images/\(name)?force=1")
            #expect(try await engine.backend.imageAtHand(ImageSpec(name: name)) == nil)
            let lines = Recorder<String>()
            let image = try await engine.backend.prepare(ImageSpec(name: name)) { lines.record($0) }
            #expect(image.name == name)
            #expect(image.digest.hasPrefix("sha256:"))
            #expect(!lines.elements.isEmpty)
            #expect(try await engine.backend.imageAtHand(ImageSpec(name: name)) != nil)
            #expect(try await engine.backend.imageAtHand(ImageSpec(name: name, pull: .always)) == nil)
            // At hand: no line of progress.
            lines.clear()
            #expect(try await engine.backend.prepare(ImageSpec(name: name)) { lines.record($0) } == image)
            #expect(lines.elements.isEmpty)
            _ = try await engine.backend.prepare(ImageSpec(name: name, pull: .always)) { lines.record($0) }
            #expect(!lines.elements.isEmpty)

            struct Inspection: Decodable { let repoDigests: [String] }
            let digest = try #require(try await engine.docker(Inspection.self, "GET", "/images/\(name)/json").repoDigests.first)
            try await engine.docker("DELETE", "/images/\(name)?force=1")
            let again = try await engine.backend.prepare(ImageSpec(name: digest)) { _ in }
            #expect(again.digest == image.digest)
            var spec = try await engine.spec()
            spec.image = again
            #expect(try await engine.backend.state(try await engine.backend.create(spec)) == .running)
        }
    }

    @Test("a name that has moved meanwhile is not followed")
    func movedName() async throws {
        try await TestEngine.with { engine in
            let name = "execbox/moving-\(engine.configuration.shortID.lowercased()):latest"
            try await engine.docker("POST", "/images/\(engine.imageName)/tag?repo=\(name.dropLast(7))&tag=latest")
            let first = try await engine.backend.prepare(ImageSpec(name: name)) { _ in }
            let ref = try await engine.backend.create(try await engine.spec())
            let other = try await engine.backend.commit(ref, as: name, base: first)
            #expect(other.digest != first.digest)
            #expect(try await engine.backend.prepare(ImageSpec(name: name)) { _ in }.digest == other.digest)
            #expect(try await engine.backend.prepare(ImageSpec(name: name, digest: first.digest)) { _ in }.digest == first.digest)
            let gone = "sha256:" + String(repeating: "2", count: 64)
            await #expect(throws: BackendError.imageNotFound("\(name) as it was when the session was created (\(gone)) is no longer there"))
            {
                try await engine.backend.prepare(ImageSpec(name: name, digest: gone)) { _ in }
            }
            try await engine.docker("DELETE", "/images/\(name)?force=1")
        }
    }

    @Test("many who want the same image pull it once")
    func singleFlight() async throws {
        let registry = try TestEngine.variable("EXECBOX_TEST_REGISTRY")
        try await TestEngine.with { engine in
            let name = "\(registry)/execbox/test:latest"
            try await engine.docker("DELETE", "/images/\(name)?force=1")
            let digests = try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<10 { group.addTask { try await engine.backend.prepare(ImageSpec(name: name)) { _ in }.digest } }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(digests.count == 1)
        }
    }

    @Test("pulls that cannot succeed say so in the registry's words")
    func pullFailures() async throws {
        let registry = try TestEngine.variable("EXECBOX_TEST_REGISTRY")
        try await TestEngine.with { engine in
            for name in [
                "\(registry)/execbox/missing", "\(registry)/execbox/test:missing",
                "\(registry)/execbox/test@sha256:\(String(repeating: "1", count: 64))",
            ] {
                await #expect {
                    _ = try await engine.backend.prepare(ImageSpec(name: name)) { _ in }
                } throws: { error in
                    if case .imageNotFound(let text) = error as? BackendError {
                        text.contains("unknown") || text.contains("not found")
                    } else {
                        false
                    }
                }
            }
            await #expect {
                _ = try await engine.backend.prepare(ImageSpec(name: "127.0.0.1:1/x")) { _ in }
            } throws: { error in
                if case .imageRejected(let text) = error as? BackendError { text.contains("connection refused") } else { false }
            }
        }
    }

    @Test("an image for another architecture is refused by name")
    func otherArchitecture() async throws {
        try await TestEngine.with { engine in
            let name = "execbox-test/\(engine.configuration.shortID):foreign"
            var layer = TarArchive()
            layer.addFolder("x", mode: 0o755)
            var archive = TarArchive()
            archive.addFile("layer.tar", mode: 0o644, contents: layer.finished)
            let hash = try await Self.sha256(layer.finished)
            let config =
                #"{"architecture":"s390x","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:\#(hash)"]},"history":[]}"#
            archive.addFile("config.json", mode: 0o644, contents: Array(config.utf8))
            archive.addFile(
                "manifest.json", mode: 0o644,
                contents: Array(#"[{"Config":"config.json","RepoTags":["\#(name)"],"Layers":["layer.tar"]}]"#.utf8))
            let response = try await engine.backend.client.call(
                "POST", "/images/load", headers: [CurlHeader("Content-Type", "application/x-tar")], body: .bytes(archive.finished),
                deadline: .seconds(30))
            #expect(response.status == 200)
            await #expect {
                _ = try await engine.backend.prepare(ImageSpec(name: name)) { _ in }
            } throws: { error in
                if case .imageRejected(let text) = error as? BackendError { text.contains("linux/s390x") } else { false }
            }
            try await engine.docker("DELETE", "/images/\(name)?force=1")
        }
    }

    private static func sha256(_ bytes: [UInt8]) async throws -> String {
        let path = "/tmp/execbox-layer-\(UInt32.random(in: 0 ... .max))"
        try bytes.withUnsafeBytes { try Data($0).write(to: URL(filePath: path)) }
        defer { try? FileManager.default.removeItem(atPath: path) }
        return String(try await HostCommand("sha256sum", [path]).output().prefix(64))
    }

    @Test("credentials are found as docker login wrote them")
    func credentials() throws {
        let path = "/tmp/execbox-config-\(UInt32.random(in: 0 ... .max)).json"
        let text = """
            {"auths":{"https://index.docker.io/v1/":{"auth":"dXNlcjpwYTpzcw=="},"ghcr.io":{"identitytoken":"tok"},"r.example:5000":{"username":"u","password":"p"},
             "broken.example":{"auth":"!"}}}
            """
        try Data(text.utf8).write(to: URL(filePath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        let credentials = RegistryCredentials(path: path)
        func header(_ domain: String) throws -> [String: String]? {
            guard let header = try credentials.header(for: domain) else { return nil }
            let data = try #require(Data(base64Encoded: header.replacing("-", with: "+").replacing("_", with: "/")))
            return try JSONDecoder().decode([String: String].self, from: data)
        }
        #expect(try header("docker.io") == ["username": "user", "password": "pa:ss", "serveraddress": "https://index.docker.io/v1/"])
        #expect(try header("ghcr.io") == ["identitytoken": "tok", "serveraddress": "ghcr.io"])
        #expect(try header("r.example:5000") == ["username": "u", "password": "p", "serveraddress": "r.example:5000"])
        #expect(try header("quay.io") == nil)
        #expect(throws: BackendError.self) { try header("broken.example") }
        #expect(throws: BackendError.self) { try RegistryCredentials(path: "/nowhere").header(for: "x") }
    }
}
