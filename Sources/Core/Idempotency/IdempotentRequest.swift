import Crypto
import ExecboxModel

/// A request that its caller may repeat without doing it twice (PROTOCOL §1, `Idempotency-Key`).
package struct IdempotentRequest: Hashable, Sendable {
    /// Whose keys are meant: an account's, or those of a client's address.
    package var scope: String
    package var key: String
    package var fingerprint: [UInt8]

    /// - Throws: `invalidArgument` for a key that is empty, too long, or not of visible ASCII characters.
    package init(scope: String, key: String, method: String, target: String, body: [UInt8]) throws(ExecboxError) {
        guard (1...255).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw .invalid("Idempotency-Key", "Idempotency-Key must be 1 to 255 visible ASCII characters")
        }
        self.scope = scope
        self.key = key
        var hash = SHA256()
        // Lengths first: no two requests look alike.
        for part in [Array(method.utf8), Array(target.utf8), body] {
            withUnsafeBytes(of: UInt64(part.count).bigEndian) { hash.update(bufferPointer: $0) }
            hash.update(data: part)
        }
        fingerprint = Array(hash.finalize())
    }

    /// An exec's id that every repetition of the request has too.
    package var execID: String {
        // Another request under the same key, a day later say, is another process.
        let hash = SHA256.hash(data: Array("\(scope)\n\(key)\n".utf8) + fingerprint)
        return "idem-" + hash.prefix(16).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}
