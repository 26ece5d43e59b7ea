import ExecboxCurl
import ExecboxDocker
import ExecboxModel
import ExecboxSandbox
import ExecboxTestSupport
import Glibc
import Testing

@Suite(.timeLimit(.minutes(5)), .serialized)
struct SandboxLifecycleTests {
    @Test("a sandbox is made, runs, is listed, is reached and goes without a trace")
    func wholeLife() async throws {
        try await TestEngine.with { engine in
            let spec = try await engine.spec()
            let ref = try await engine.backend.create(spec)
            #expect(ref.sandboxID == spec.sandboxID)
            #expect(try await engine.backend.state(ref) == .running)
            #expect(try await engine.backend.list() == [ref])
            #expect(try await engine.backend.ports(ref) == [])
            guard case .dialOut(let directory, let pid?) = try await engine.backend.connect(ref) else {
                Issue.record("Docker sandboxes dial out")
                return
            }
            #expect(directory == "\(engine.configuration.runDirectory)/\(spec.sandboxID)")
            #expect(kill(pid, 0) == 0)
            try await engine.backend.destroy(ref)
            #expect(try await engine.backend.state(ref) == .gone)
            #expect(try await engine.backend.list() == [])
            #expect(access(directory, F_OK) != 0)
            await #expect(throws: BackendError.self) { try await engine.backend.connect(ref) }
            // A second time, and without the container's id.
            try await engine.backend.destroy(ref)
            try await engine.backend.destroy(SandboxRef(sandboxID: spec.sandboxID))
        }
    }

    @Test("create is idempotent: again, at the same time, and after a crash at any step")
    func idempotentCreate() async throws {
        try await TestEngine.with { engine in
            let spec = try await engine.spec()
            let first = try await engine.backend.create(spec)
            #expect(try await engine.backend.create(spec) == first)

            let racing = try await engine.spec()
            let refs = try await withThrowingTaskGroup(of: SandboxRef.self) { group in
                for _ in 0..<8 { group.addTask { try await engine.backend.create(racing) } }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(refs.count == 1)
            #expect(try await engine.backend.list().count == 2)

            // Created and never started: what a crash between the two calls leaves.
            let half = try await engine.spec()
            let whole = try await engine.backend.create(half)
            struct Created: Decodable { let id: String }
            try await engine.docker("POST", "/containers/\(whole.backendID)/rename?name=kept-\(engine.configuration.shortID)")
            let folder = "\(engine.configuration.runDirectory)/\(half.sandboxID)"
            let made = try await engine.docker(
                Created.self, "POST", "/containers/create?name=\(engine.containerName(half.sandboxID))",
                json: """
                    {"Image":"\(half.image.digest)","Entrypoint":["/bin/sleep","1000"],
                     "Labels":{"execbox.cluster":"\(engine.configuration.clusterID)","execbox.sandbox":"\(half.sandboxID)"}}
                    """)
            #expect(try await engine.backend.state(SandboxRef(sandboxID: half.sandboxID)) == .starting)
            #expect(try await engine.backend.create(half) == SandboxRef(sandboxID: half.sandboxID, backendID: made.id))
            #expect(try await engine.backend.state(SandboxRef(sandboxID: half.sandboxID)) == .running)
            try await engine.backend.destroy(SandboxRef(sandboxID: half.sandboxID))
            #expect(access(folder, F_OK) != 0)
        }
    }

    @Test("eight tasks that destroy the same sandbox all succeed")
    func concurrentDestroy() async throws {
        try await TestEngine.with { engine in
            let ref = try await engine.backend.create(try await engine.spec())
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 { group.addTask { try await engine.backend.destroy(ref) } }
                try await group.waitForAll()
            }
            #expect(try await engine.backend.state(ref) == .gone)
        }
    }

    @Test("a sandbox that was removed or killed behind our back is gone or exited")
    func behindOurBack() async throws {
        try await TestEngine.with { engine in
            let removed = try await engine.backend.create(try await engine.spec())
            try await engine.docker("DELETE", "/containers/\(removed.backendID)?force=1")
            #expect(try await engine.backend.state(removed) == .gone)
            #expect(try await engine.backend.ports(removed) == [])
            await #expect(throws: BackendError.self) { try await engine.backend.diskUsage(removed) }

            let killed = try await engine.backend.create(try await engine.spec())
            try await engine.docker("POST", "/containers/\(killed.backendID)/kill")
            #expect(try await engine.backend.state(killed) == .exited(code: 137, outOfMemory: false))
            await #expect(throws: BackendError.self) { try await engine.backend.connect(killed) }
            try await engine.backend.destroy(killed)
            try await engine.backend.destroy(removed)
        }
    }

    @Test("what does not carry our label is neither adopted nor touched")
    func othersThings() async throws {
        try await TestEngine.with { engine in
            let spec = try await engine.spec()
            let name = engine.containerName(spec.sandboxID)
            struct Created: Decodable { let id: String }
            let stranger = try await engine.docker(
                Created.self, "POST", "/containers/create?name=\(name)",
                json:
                    #"{"Image":"\#(spec.image.digest)","Cmd":["/bin/sleep","1000"],"Labels":{"execbox.cluster":"another0","execbox.sandbox":"\#(spec.sandboxID)"}}"#
            )
            let ref = SandboxRef(sandboxID: spec.sandboxID)
            await #expect(throws: BackendError.internal("a container \(name) exists that is not ours")) {
                try await engine.backend.create(spec)
            }
            #expect(try await engine.backend.state(ref) == .gone)
            try await engine.backend.destroy(ref)
            #expect(try await engine.backend.list() == [])
            #expect(try await engine.docker("GET", "/containers/\(stranger.id)/json").status == 200)
            try await engine.docker("DELETE", "/containers/\(stranger.id)?force=1")
        }
    }

    @Test("an agent volume that somebody removed is filled again")
    func agentVolumeIsRefilled() async throws {
        try await TestEngine.with { engine in
            struct Volumes: Decodable { let volumes: [Volume] }
            struct Volume: Decodable { let name: String }
            let volumes = try await engine.docker(Volumes.self, "GET", "/volumes").volumes
                .filter { $0.name.hasPrefix("execbox-agent-\(engine.configuration.shortID)-") }
            #expect(volumes.count == 1)
            for volume in volumes { #expect(try await engine.docker("DELETE", "/volumes/\(volume.name)").status == 204) }
            let ref = try await engine.backend.create(try await engine.spec())
            #expect(try await engine.backend.state(ref) == .running)
        }
    }

    @Test("a stopped engine is unavailable, and nothing needs a restart once it is back")
    func engineAway() async throws {
        let host = try TestEngine.variable("EXECBOX_TEST_DOCKER_HOST")
        let path = "/tmp/execbox-proxy-\(UInt32.random(in: 0 ... .max)).sock"
        let proxy = EngineProxy(path: path, target: String(host.dropFirst("unix://".count)))
        try proxy.start()
        try await TestEngine.with { configuration in
            configuration.dockerHost = "unix://\(path)"
        } body: { engine in
            let ref = try await engine.backend.create(try await engine.spec())
            let seen = Recorder<SandboxEvent>()
            let events = engine.backend.events()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { for await event in events where event == .resync { seen.record(event) } }
                try await until { seen.elements.count == 1 }
                proxy.stop()
                for _ in 0..<3 {
                    await #expect {
                        _ = try await engine.backend.state(ref)
                    } throws: { error in
                        if case .unavailable(let text) = error as? BackendError { text.contains("Docker") } else { false }
                    }
                }
                await #expect(throws: BackendError.self) { try await engine.backend.ping() }
                await #expect(throws: BackendError.self) { try await engine.backend.start() }
                try proxy.start()
                try await engine.backend.ping()
                #expect(try await engine.backend.state(ref) == .running)
                try await until { seen.elements.count >= 2 }
                group.cancelAll()
            }
            try await engine.backend.destroy(ref)
        }
        // The fixture cleans up through it.
        withExtendedLifetime(proxy) {}
    }

    @Test("events tell of every change of our sandboxes and of no other")
    func events() async throws {
        try await TestEngine.with { engine in
            let spec = try await engine.spec()
            let events = engine.backend.events()
            let seen = Recorder<SandboxEvent>()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { for await event in events { seen.record(event) } }
                try await until { seen.elements == [.resync] }
                let ref = try await engine.backend.create(spec)
                try await until { seen.elements.count == 2 }
                try await engine.backend.destroy(ref)
                // die and destroy
                try await until { seen.elements.count == 4 }
                group.cancelAll()
            }
            #expect(seen.elements.dropFirst().allSatisfy { $0 == .changed(spec.sandboxID) })
        }
    }

    @Test("a sandbox becomes an image with its files and its base's configuration")
    func commit() async throws {
        try await TestEngine.with { engine in
            let spec = try await engine.spec()
            let ref = try await engine.backend.create(spec)
            _ = try await engine.shell(spec.sandboxID, "echo kept > /kept")
            let name = "execbox-test/\(engine.configuration.shortID):one"
            let image = try await engine.backend.commit(ref, as: name, base: spec.image)
            #expect(image.digest != spec.image.digest)
            #expect(image.entrypoint == spec.image.entrypoint)
            #expect(image.command == spec.image.command)
            let found = try await engine.backend.prepare(ImageSpec(name: name)) { _ in }
            #expect(found.digest == image.digest)
            #expect(found.entrypoint == spec.image.entrypoint)
            #expect(found.command == spec.image.command)
            #expect(found.environment == spec.image.environment)
            try await engine.backend.destroy(ref)
            var next = try await engine.spec()
            next.image = found
            _ = try await engine.backend.create(next)
            #expect(try await engine.shell(next.sandboxID, "cat /kept").output == "kept\r\n")
            try await engine.backend.destroy(SandboxRef(sandboxID: next.sandboxID))
            try await engine.docker("DELETE", "/images/\(name)?force=1")
        }
    }
}
