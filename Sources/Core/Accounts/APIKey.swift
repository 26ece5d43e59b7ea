import Crypto
import ExecboxModel

/// An API key's text: `eb_` + 12 characters of public id + `_` + 43 characters of secret (PROTOCOL §1).
package struct APIKey: Sendable {
    private static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
    private static let publicLength = 12
    private static let secretLength = 43

    package let publicID: String
    private let secret: String

    /// A new key; 43 characters of base 62 hold 256 bits.
    package static func make() -> Self {
        Self(publicID: characters(publicLength), secret: characters(secretLength))
    }

    /// What a webhook's deliveries are signed with, of the same strength as a key.
    package static func makeWebhookSecret() -> String { "whsec_\(characters(secretLength))" }

    private static func characters(_ count: Int) -> String {
        var generator = SystemRandomNumberGenerator()
        return String(decoding: (0..<count).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] }, as: UTF8.self)
    }

    private init(publicID: String, secret: String) {
        self.publicID = publicID
        self.secret = secret
    }

    /// Nil for anything that has not a key's form.
    package init?(_ text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: "_"), omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].elementsEqual("eb".utf8), parts[1].count == Self.publicLength,
            parts[2].count == Self.secretLength, parts[1].allSatisfy(Self.alphabet.contains),
            parts[2].allSatisfy(Self.alphabet.contains)
        else { return nil }
        self.init(publicID: String(decoding: parts[1], as: UTF8.self), secret: String(decoding: parts[2], as: UTF8.self))
    }

    /// The same secret under another public id: what a rotated key is.
    package func with(publicID: String) -> Self { Self(publicID: publicID, secret: secret) }

    /// The whole key, shown once.
    package var text: String { "eb_\(publicID)_\(secret)" }

    /// What is stored. The secret is random, so that a fast hash is as good as a slow one.
    package var secretHash: [UInt8] { Array(SHA256.hash(data: Array(secret.utf8))) }

    /// Compares without telling by its time how much was right.
    package func matches(hash: [UInt8]) -> Bool {
        let own = secretHash
        guard own.count == hash.count else { return false }
        return zip(own, hash).reduce(into: UInt8(0)) { $0 |= $1.0 ^ $1.1 } == 0
    }
}
