import ExecboxModel

/// What an operator sets in an account; a nil member is left as it is, an inner nil cleared.
package struct AccountChange: Equatable, Sendable {
    package var name: String?
    package var email: String??
    package var tier: String?
    /// From then on the account has the tier `Tier.fallbackName`.
    package var tierExpiresAt: Timestamp??

    /// A stranger makes it, with a name of their own choice.
    var isSignUp = false

    package init() {}
}
