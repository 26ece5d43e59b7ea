/// The right to carry out an idempotent request now; whoever holds it records what came of it, in the transaction that makes it.
package struct IdempotencyClaim: Hashable, Sendable {
    package var request: IdempotentRequest
    /// Another request that takes over has another one.
    package var token: String
}
