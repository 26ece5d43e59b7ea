import ExecboxCore
import ExecboxModel
import HTTPTypes
import Hummingbird

extension HTTPField.Name {
    static let idempotencyKey = Self("Idempotency-Key")
    static let idempotentReplayed = Self("Idempotent-Replayed")
}

/// Carries out POSTs once per `Idempotency-Key`.
struct IdempotentRoute {
    let idempotency: Idempotency

    /// - Parameters:
    ///   - scope: whose keys are meant; the caller's account's unless given.
    ///   - first: does it. With a claim it records, or has recorded, what the answer can be rendered from.
    ///   - again: renders the answer anew from that.
    func callAsFunction(
        _ request: Request, _ context: ServerContext, scope: String? = nil, body: [UInt8],
        first: @escaping @Sendable (IdempotencyClaim?) async throws -> Response,
        again: (_ resource: String) async throws -> Response
    ) async throws -> Response {
        guard let name = HTTPField.Name.idempotencyKey, let key = request.headers[name] else { return try await first(nil) }
        let scope = if let scope { scope } else { try context.caller.accountID.description }
        let idempotent = try IdempotentRequest(
            scope: scope, key: key, method: request.method.rawValue, target: request.uri.string, body: body)
        switch try await idempotency.begin(idempotent) {
        case .first(let claim): return try await idempotency.hold(claim) { try await first(claim) }
        case .repetition(let resource):
            var response = try await again(resource)
            if let name = HTTPField.Name.idempotentReplayed { response.headers[name] = "true" }
            return response
        }
    }

    /// For routes whose answer is made of nothing that is stored.
    func record(_ claim: IdempotencyClaim?, resource: String) async throws {
        if let claim { try await idempotency.record(claim, resource: resource) }
    }
}
