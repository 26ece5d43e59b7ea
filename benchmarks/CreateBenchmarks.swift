import ExecboxModel

/// From nothing to the first byte of a command in a sandbox of its own.
struct CreateBenchmarks {
    let setting: Setting

    var all: [Benchmark] {
        [
            firstByte("create-first-byte-none", network: .none, dockerNetwork: "none"),
            firstByte("create-first-byte-outgoing", network: .outgoing, dockerNetwork: setting.network),
        ]
    }

    private func firstByte(_ name: String, network: NetworkMode, dockerNetwork: String) -> Benchmark {
        func time(_ arguments: [String]) async throws -> Double {
            guard let duration = try await Program.run(arguments).firstByte else {
                throw Program.Failure(description: "\(arguments.joined(separator: " ")) wrote nothing")
            }
            return duration.milliseconds
        }
        return Benchmark(
            name: name, unit: .milliseconds, goal: .ratio(0.87),
            ours: { try await time([setting.execbox, "run", "--network", network.rawValue, setting.image, "--", "echo", "x"]) },
            peer: .init(name: "docker run --rm, client \(setting.dockerVersion), same network") {
                try await time([setting.docker, "run", "--rm", "--network", dockerNetwork, setting.image, "echo", "x"])
            },
            limit: .init(name: "spawn") { try await time([setting.busybox, "echo", "x"]) },
            settle: { try await setting.waitUntilQuiet() })
    }
}
