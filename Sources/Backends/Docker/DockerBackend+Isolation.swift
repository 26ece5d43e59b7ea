import ExecboxModel
import ExecboxSandbox
import Logging
import Synchronization

extension DockerBackend {
    /// The rules for this backend's bridge.
    package var hostRules: HostRules { HostRules(configuration: configuration) }

    /// `execboxd host-setup`: makes the network and puts up the rules. Needs NET_ADMIN and a running engine.
    ///
    /// - Returns: what had been missing.
    @discardableResult
    package func installHostRules() async throws(BackendError) -> [HostRule] {
        try await translated {
            try await network.ensure()
            while true {
                if let missing = try await flights.run("isolation", work: { try await hostRules.ensure() }) { return missing }
            }
        }
    }

    /// Takes the network and then the rules away. Fails, and changes nothing, while sandboxes are on the network.
    package func removeHostRules() async throws(BackendError) {
        try await translated {
            try await network.remove()
            try await hostRules.remove()
        }
    }

    /// What a sandbox can reach, by trial. Needs `start()`; for `doctor` and for tests. Changes neither rules nor capabilities.
    package func probeIsolation() async throws(BackendError) -> IsolationProbe.Outcome {
        try await translated {
            let probe = IsolationProbe(
                configuration: configuration, client: client, rules: hostRules, runDirectory: runDirectory,
                image: try await ensureEmptyImage(),
                agentMount: try startedHost().agentMount)
            while true {
                if let outcome = try await flights.run("isolation", work: { try await probe.run() }) { return outcome }
            }
        }
    }

    /// Puts up network and rules and proves them; sets the capabilities by the outcome.
    func setUpNetworks() async throws {
        var refusal: String?
        do {
            try await network.ensure()
            try await installHostRules()
            if case .refuted(let why) = try await confirmedIsolation() { refusal = why }
        } catch let error as BackendError {
            // The engine being away is no statement on isolation.
            if case .unavailable = error { throw error }
            refusal = "\(error.text)"
        } catch {
            refusal = "\(error)"
        }
        let isBestEffort = configuration.isolation == .bestEffort
        let text = refusal.map {
            "outgoing and exposed are not available: the isolation of sandboxes could not be proved (\($0)); run 'execboxd host-setup' as root"
        }
        state.withLock { state in
            state.capabilities.networks = refusal == nil || isBestEffort ? Set(NetworkMode.allCases) : [.none]
            state.capabilities.isIsolationUnproved = refusal != nil && isBestEffort
            state.capabilities.networkRefusal = isBestEffort ? nil : text
        }
        if let refusal {
            logger.warning(
                isBestEffort ? "sandboxes have networks without proved isolation" : "sandboxes have no networks",
                metadata: ["reason": "\(refusal)"])
        }
    }

    /// What a sandbox can reach, told apart from what others do to the host's rules at the same time. Needs `start()`.
    ///
    /// Another server's check of the same rules may end this one's positive control early: tried again.
    ///
    /// Docker takes its jump from FORWARD to DOCKER-USER out and puts it back whenever somebody makes a network on the engine; for that
    /// moment no rule of ours holds. What was reached then refutes nothing if two further probes in a row reach nothing.
    package func confirmedIsolation() async throws -> IsolationProbe.Outcome {
        var outcome = IsolationProbe.Outcome.proved
        for _ in 0..<3 {
            outcome = try await probeIsolation()
            guard case .refuted(let why) = outcome else { return outcome }
            if why.contains("inconclusive") { continue }
            try await installHostRules()
            for _ in 0..<2 {
                guard case .proved = try await probeIsolation() else { return outcome }
            }
            return .proved
        }
        return outcome
    }

    /// Looks after the host until the task is cancelled: starts the backend if the engine was away before, puts rules back that others
    /// removed, and takes networks off the offer while that fails.
    package func run(every interval: Duration = .seconds(30)) async {
        var round = 0
        while true {
            do { try await Task.sleep(for: interval) } catch { return }
            round += 1
            do {
                // The engine was away when the server started.
                guard state.withLock({ $0.host }) != nil else {
                    try await start()
                    continue
                }
                // Nil: a probe is at it, with one rule too many on purpose.
                let missing = try await flights.run("isolation") { try await hostRules.ensure() }
                if let missing, !missing.isEmpty {
                    logger.warning(
                        "network rules were missing and have been put back",
                        metadata: ["rules": "\(missing.map(\.text).joined(separator: "; "))"])
                }
                // Refused before, and the rules can be set now: perhaps it can be proved. Not every time, for it takes containers.
                if !capabilities.networks.contains(.outgoing), missing?.isEmpty == false || round % 10 == 0 { try await setUpNetworks() }
            } catch {
                logger.debug("the network rules could not be checked", metadata: ["error": "\(error)"])
                guard configuration.isolation == .enforced else { continue }
                state.withLock { state in
                    guard state.capabilities.networks != [.none] else { return }
                    state.capabilities.networks = [.none]
                    state.capabilities.networkRefusal =
                        "outgoing and exposed are not available: the network rules of this host cannot be kept (\(error))"
                }
            }
        }
    }
}

extension BackendError {
    /// Its words, whatever its kind.
    fileprivate var text: String {
        switch self {
        case .imageNotFound(let text), .imageRejected(let text), .noCapacity(let text), .unavailable(let text), .invalidSpec(let text),
            .notSupported(let text), .notFound(let text), .internal(let text):
            text
        case .rateLimited(let seconds): "try again in \(seconds) s"
        }
    }
}
