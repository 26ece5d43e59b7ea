import ExecboxModel
import ExecboxSandbox
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization

/// All links of this server process to the agents of its sandboxes.
///
/// A link's sockets and connections belong to the event loops, and to this object: `run` returns only after every one is closed.
package final class AgentLinks: Service {
    private struct State {
        var links: [SandboxID: AgentLink] = [:]
        var isShutDown = false
    }

    private let serverID: String
    private let eventLoopGroup: any EventLoopGroup
    private let limits: AgentLinkLimits
    private let logger: Logger
    private let state = Mutex(State())

    /// - Parameter serverID: 8 hexadecimal digits, new at each start of this process: the name of its sockets.
    package init(serverID: String, eventLoopGroup: any EventLoopGroup, logger: Logger, limits: AgentLinkLimits = AgentLinkLimits()) {
        precondition(serverID.utf8.count == 8 && serverID.allSatisfy(\.isHexDigit), "a server id is 8 hexadecimal digits")
        self.serverID = serverID
        self.eventLoopGroup = eventLoopGroup
        self.limits = limits
        self.logger = logger
    }

    /// A server id for this process.
    package static func makeServerID() -> String {
        let digits = String(UInt32.random(in: 0 ... .max), radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }

    /// Waits for graceful shutdown or cancellation, then closes all links. `open` works before `run`, and fails after it.
    package func run() async throws {
        try? await gracefulShutdown()
        await shutDown()
    }

    /// The link to a sandbox's agent; returns once the agent can dial it, not once it has.
    ///
    /// The open link is returned if its transport is the same, or was not fully known; a link with another transport (the agent's pid
    /// changed) is closed first.
    /// Calls for one sandbox may overlap.
    package func open(_ sandboxID: SandboxID, transport: AgentTransport) async throws(AgentLinkError) -> AgentLink {
        let found = state.withLock { state -> (link: AgentLink, isNew: Bool)? in
            guard !state.isShutDown else { return nil }
            let open = state.links[sandboxID]
            if let open, !open.isClosed, open.complete(transport) { return (open, false) }
            let link = AgentLink(
                sandboxID: sandboxID,
                transport: transport,
                serverID: serverID,
                eventLoopGroup: eventLoopGroup,
                limits: limits,
                logger: logger,
                predecessor: open
            )
            state.links[sandboxID] = link
            return (link, true)
        }
        guard let found else { throw .closed }
        if found.isNew { await found.link.listen() }
        do {
            try await found.link.waitUntilListening()
        } catch .cannotListen(let text) {
            forget(found.link)
            throw .cannotListen(text)
        }
        return found.link
    }

    /// The open link to a sandbox's agent; nil also while it is not known which process that is: `open` says so.
    package func link(for sandboxID: SandboxID) -> AgentLink? {
        state.withLock { state in
            guard let link = state.links[sandboxID], !link.isClosed, !link.transport.isIncomplete else { return nil }
            return link
        }
    }

    /// Ends everything on the link: callers get `closed`, connections are closed, the socket is unlinked. Nothing happens without a link.
    package func close(_ sandboxID: SandboxID) async {
        // It stays findable until it is closed: a new link to the same sandbox has to wait for that.
        guard let link = state.withLock({ $0.links[sandboxID] }) else { return }
        await link.close()
        forget(link)
    }

    private func forget(_ link: AgentLink) {
        state.withLock { state in
            if state.links[link.sandboxID] === link { state.links[link.sandboxID] = nil }
        }
    }

    private func shutDown() async {
        let links = state.withLock { state in
            state.isShutDown = true
            defer { state.links = [:] }
            return Array(state.links.values)
        }
        await withDiscardingTaskGroup { group in
            for link in links { group.addTask { await link.close() } }
        }
    }
}
