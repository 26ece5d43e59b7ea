import ExecboxDocker
import ExecboxSandbox
import Logging
import Testing

@Suite struct ConfigurationTests {
    private func refusal(_ configuration: DockerConfiguration) -> String? {
        do {
            _ = try DockerBackend(configuration: configuration, logger: Logger(label: "test"))
            return nil
        } catch {
            guard case .invalidSpec(let text) = error else { return "wrong kind: \(error)" }
            return text
        }
    }

    @Test(
        "engines that are not on this host are refused and the text names DOCKER_HOST",
        arguments: [
            "tcp://10.0.0.1:2375", "ssh://root@host", "http://x", "npipe:////./pipe/docker", "", "/var/run/docker.sock", "unix://relative",
        ])
    func dockerHost(host: String) {
        let text = refusal(DockerConfiguration(dockerHost: host, clusterID: "abcdefgh", agentPath: "/x"))
        #expect(text?.contains("DOCKER_HOST") == true)
    }

    @Test("names and paths that the kernel would cut are refused")
    func bounds() {
        func configuration(_ change: (inout DockerConfiguration) -> Void) -> DockerConfiguration {
            var configuration = DockerConfiguration(clusterID: "abcdefgh12345678", agentPath: "/x")
            change(&configuration)
            return configuration
        }
        #expect(refusal(configuration { _ in }) == nil)
        #expect(refusal(configuration { $0.runDirectory = "/" + String(repeating: "r", count: 61) }) == nil)
        #expect(refusal(configuration { $0.runDirectory = "/" + String(repeating: "r", count: 62) })?.contains("run directory") == true)
        #expect(refusal(configuration { $0.runDirectory = "run" })?.contains("run directory") == true)
        #expect(refusal(configuration { $0.bridgeName = "sixteen-letters0" })?.contains("bridge") == true)
        #expect(refusal(configuration { $0.bridgeName = "a b" })?.contains("bridge") == true)
        #expect(refusal(configuration { $0.clusterID = "short" })?.contains("cluster") == true)
        #expect(refusal(configuration { $0.clusterID = "../../../../etc" })?.contains("cluster") == true)
        #expect(refusal(configuration { $0.subnet = "10.0.0.1/8" })?.contains("subnet") == true)
        #expect(refusal(configuration { $0.resolvers = ["8.8.8.8; true"] })?.contains("8.8.8.8") == true)
        #expect(refusal(configuration { $0.exposedBindAddress = "localhost" })?.contains("localhost") == true)
    }
}
