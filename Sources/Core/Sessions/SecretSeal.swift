import Crypto
import ExecboxModel

/// Encrypts what the database must keep and must not know (AES-256-GCM, RFC 5116), with a key of its own for every purpose.
package struct SecretSeal: Sendable {
    private let key: SymmetricKey

    /// - Parameters:
    ///   - secret: `EXECBOX_SECRET_KEY`, at least 32 bytes of which 256 bits are derived (HKDF, RFC 5869).
    ///   - purpose: what is sealed; another purpose has another key.
    package init(secret: [UInt8], purpose: String) throws {
        guard secret.count >= 32 else {
            throw ExecboxError.invalid("EXECBOX_SECRET_KEY", "EXECBOX_SECRET_KEY must have at least 32 bytes")
        }
        key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: secret), info: Array("execbox \(purpose) v1".utf8), outputByteCount: 32)
    }

    /// - Parameter context: authenticated too: what was sealed for one row does not open for another.
    package func seal(_ plain: [UInt8], context: String) throws -> [UInt8] {
        let box = try AES.GCM.seal(plain, using: key, authenticating: Array(context.utf8))
        guard let combined = box.combined else { throw ExecboxError(.internal, "internal error", privateDetail: "nonce of odd length") }
        return Array(combined)
    }

    package func open(_ sealed: [UInt8], context: String) throws -> [UInt8] {
        Array(try AES.GCM.open(try AES.GCM.SealedBox(combined: sealed), using: key, authenticating: Array(context.utf8)))
    }
}
