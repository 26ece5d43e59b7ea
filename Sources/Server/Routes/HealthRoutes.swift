import ExecboxAPI
import ExecboxModel
import Hummingbird

/// `/health`: the process is up. `/ready`: what it depends on answers; 503 names the part that does not. Both without a key.
package struct HealthRoutes: Sendable {
    package typealias Check = @Sendable () async throws -> Void

    /// In the order in which they are asked; a check that throws makes its part not ready.
    package var checks: [(part: String, check: Check)]
    /// What an operator should know though everything answers, such as an unproved isolation.
    package var warnings: @Sendable () -> [String]

    package init(checks: [(part: String, check: Check)], warnings: @escaping @Sendable () -> [String]) {
        self.checks = checks
        self.warnings = warnings
    }

    func add(to routes: RouteTable) {
        routes.on("health", [.get: health], scopes: nil)
        routes.on("ready", [.get: ready], scopes: nil)
    }

    private func health(_ request: Request, _ context: ServerContext) async throws -> Response {
        try .json(StatusBody(status: "ok"))
    }

    private struct ReadyBody: Encodable {
        var status: String
        var warnings: [String]?
    }

    private func ready(_ request: Request, _ context: ServerContext) async throws -> Response {
        for (part, check) in checks {
            do {
                try await check()
            } catch {
                let cause = ExecboxError(any: error)
                throw ExecboxError.unavailable(part, detail: cause.privateDetail ?? cause.message)
            }
        }
        let warnings = warnings()
        return try .json(ReadyBody(status: "ready", warnings: warnings.isEmpty ? nil : warnings))
    }
}
