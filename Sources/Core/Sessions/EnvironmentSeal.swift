import ExecboxModel
import FoundationEssentials

/// Encrypts a session's environment between its creation and main's start; the database never sees its values.
package struct EnvironmentSeal: Sendable {
    private let seal: SecretSeal

    /// - Parameter secret: `EXECBOX_SECRET_KEY`.
    package init(secret: [UInt8]) throws { seal = try SecretSeal(secret: secret, purpose: "environment") }

    package func seal(_ environment: [String], for session: SessionID) throws -> [UInt8] {
        try seal.seal(Array(try JSONEncoder().encode(environment)), context: session.description)
    }

    package func open(_ sealed: [UInt8], for session: SessionID) throws -> [String] {
        try JSONDecoder().decode([String].self, from: Data(try seal.open(sealed, context: session.description)))
    }
}
