import ExecboxModel
import HTTPTypes
import Hummingbird

/// Routes of the protocol that this server knows and does not offer: 501 after the caller and the session are known to be good.
struct LaterRoutes {
    let sessionExists: @Sendable (ServerContext) async throws -> Void

    func add(to routes: RouteTable) {
        let proxy = handler("the port proxy")
        let methods: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete, .options]
        let all = Dictionary(uniqueKeysWithValues: methods.map { ($0, proxy) })
        routes.on("sessions/:id/ports/:port", all, scopes: .sessions)
        routes.on("sessions/:id/ports/:port/**", all, scopes: .sessions)
    }

    private func handler(_ what: String) -> RouteTable.Handler {
        { _, context in
            try await sessionExists(context)
            throw ExecboxError(.notImplemented, "\(what) is not offered by this server")
        }
    }
}
