import Crypto
import ExecboxModel
import FoundationEssentials

/// Encrypts a session's environment between its creation and main's start (AES-256-GCM, RFC 5116); the database never sees its values.
package struct EnvironmentSeal: Sendable {
    private let key: SymmetricKey

    /// - Parameter secret: `EXECBOX_SECRET_KEY`, at least 32 bytes of which 256 bits are derived.
    package init(secret: [UInt8]) throws {
        guard secret.count >= 32 else {
            throw ExecboxError.invalid("EXECBOX_SECRET_KEY", "EXECBOX_SECRET_KEY must have at least 32 bytes")
        }
        key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: secret),
            info: Array("execbox environment v1".utf8),
            outputByteCount: 32
        )
    }

    /// The session's id is authenticated too: a sealed environment opens for its own session only.
    package func seal(_ environment: [String], for session: SessionID) throws -> [UInt8] {
        let plain = try JSONEncoder().encode(environment)
        let box = try AES.GCM.seal(plain, using: key, authenticating: Array(session.description.utf8))
        guard let combined = box.combined else { throw ExecboxError(.internal, "internal error", privateDetail: "nonce of odd length") }
        return Array(combined)
    }

    package func open(_ sealed: [UInt8], for session: SessionID) throws -> [String] {
        let box = try AES.GCM.SealedBox(combined: sealed)
        let plain = try AES.GCM.open(box, using: key, authenticating: Array(session.description.utf8))
        return try JSONDecoder().decode([String].self, from: plain)
    }
}
