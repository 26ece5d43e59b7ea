import ExecboxSandbox

extension DockerBackend {
    package func imageAtHand(_ image: ImageSpec) async throws(BackendError) -> PreparedImage? {
        if image.pull == .always { return nil }
        let reference = try ImageReference(image.name)
        return try await translated {
            let platform = try startedHost().platform
            return try await client.inspectImage(image.digest ?? reference.text)
                .map { found throws(BackendError) in try Self.prepared(found, name: image.name, platform: platform) }
        }
    }

    package func prepare(_ image: ImageSpec, progress: @Sendable (String) -> Void) async throws(BackendError) -> PreparedImage {
        let reference = try ImageReference(image.name)
        if let digest = image.digest {
            guard let found = try await imageAtHand(ImageSpec(name: image.name, digest: digest)) else {
                throw .imageNotFound("\(image.name) as it was when the session was created (\(digest)) is no longer there")
            }
            return found
        }
        return try await translated {
            let platform = try startedHost().platform
            var mustPull = image.pull == .always
            // Each round ends with the image at hand, with this task's own failure, or after another task's pull.
            while true {
                if !mustPull, let found = try await client.inspectImage(reference.text) {
                    return try Self.prepared(found, name: image.name, platform: platform)
                }
                let pulled: Void? = try await flights.run(reference.text) {
                    try await pull(reference, progress: progress)
                }
                if pulled == nil { progress("waiting for another pull of the same image") }
                if pulled != nil, try await client.inspectImage(reference.text) == nil {
                    throw BackendError.imageNotFound("\(reference.text) was pulled and is not there")
                }
                // Another task's pull may have failed: who must pull tries again for itself, who need not looks for the image first.
                if pulled != nil { mustPull = false }
                try Task.checkCancellation()
            }
        }
    }

    private func pull(_ reference: ImageReference, progress: (String) -> Void) async throws {
        var credentials: String?
        if let path = configuration.registryConfigPath { credentials = try RegistryCredentials(path: path).header(for: reference.domain) }
        let clock = ContinuousClock()
        var lines = PullProgress()
        do {
            try await client.pullImage(reference, credentials: credentials) { line in
                if let text = lines.take(line, now: clock.now) { progress(text) }
            }
        } catch let failure as DockerFailure {
            throw Self.pullError(failure)
        }
    }

    /// What a registry's refusal means, told by its words: the engine has one status for most of them.
    static func pullError(_ failure: DockerFailure) -> BackendError {
        let words = failure.message
        let lower = words.lowercased()
        if failure.isOutOfSpace { return failure.backendError }
        if lower.contains("toomanyrequests") || lower.contains("too many requests") { return .rateLimited(retryAfterSeconds: 60) }
        if lower.contains("no matching manifest") { return .imageRejected(words) }
        if ["manifest unknown", "not found", "does not exist", "repository name not known", "name unknown", "no such image"]
            .contains(where: lower.contains)
        {
            return .imageNotFound(words)
        }
        if failure.status == 400 { return .invalidSpec(words) }
        return .imageRejected(words)
    }

    private static func prepared(_ image: DockerClient.Image, name: String, platform: DockerClient.Platform) throws(BackendError)
        -> PreparedImage
    {
        // The agent is static, so 32-bit programs of the same family run beside it.
        let family = ["amd64": ["amd64", "386"], "arm64": ["arm64", "arm"]][platform.arch] ?? [platform.arch]
        guard image.os == platform.os, family.contains(image.architecture) else {
            throw .imageRejected(
                "the image is made for \(image.os)/\(image.architecture), this host runs \(platform.os)/\(platform.arch)")
        }
        let config = image.config
        return PreparedImage(
            name: name, digest: image.id, entrypoint: config?.entrypoint ?? [], command: config?.cmd ?? [], environment: config?.env ?? [],
            user: config?.user ?? "", workingDirectory: config?.workingDir ?? "", stopSignal: config?.stopSignal ?? "")
    }

    package func commit(_ ref: SandboxRef, as name: String, base: PreparedImage) async throws(BackendError) -> PreparedImage {
        let reference = try ImageReference(name)
        guard reference.digest == nil else { throw .invalidSpec("an image is committed under a tag, not a digest") }
        return try await translated {
            guard let found = try await find(ref) else { throw BackendError.notFound("sandbox \(ref.sandboxID) is gone") }
            // What is left empty would be taken from the container: the agent as entrypoint, root as user. Root and / are what an image
            // means that names neither.
            let config = DockerClient.CommitConfig(
                entrypoint: base.entrypoint, cmd: base.command, env: base.environment, user: base.user.isEmpty ? "0:0" : base.user,
                workingDir: base.workingDirectory.isEmpty ? "/" : base.workingDirectory,
                stopSignal: base.stopSignal.isEmpty ? "SIGTERM" : base.stopSignal,
                labels: [DockerLabel.cluster: configuration.clusterID, DockerLabel.sandbox: "", DockerLabel.session: ""])
            var committed = base
            committed.digest = try await client.commitContainer(
                found.id, repository: reference.repository, tag: reference.tag ?? "latest", config: config)
            committed.name = name
            return committed
        }
    }
}
