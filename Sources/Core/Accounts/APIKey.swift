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
        let bytes = Array(text.utf8)
        guard bytes.count == 3 + Self.publicLength + 1 + Self.secretLength, bytes.starts(with: "eb_".utf8) else { return nil }
        let publicID = bytes[3..<3 + Self.publicLength]
        let secret = bytes[(publicID.endIndex + 1)...]
        guard bytes[publicID.endIndex] == UInt8(ascii: "_"), publicID.allSatisfy(Self.isInAlphabet), secret.allSatisfy(Self.isInAlphabet)
        else { return nil }
        self.init(publicID: String(decoding: publicID, as: UTF8.self), secret: String(decoding: secret, as: UTF8.self))
    }

    private static func isInAlphabet(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        default: false
        }
    }

    /// The same secret under another public id: what a rotated key is.
    package func with(publicID: String) -> Self { Self(publicID: publicID, secret: secret) }

    /// The whole key, shown once.
    package var text: String { "eb_\(publicID)_\(secret)" }

    /// What is stored. The secret is random, so that a fast hash is as good as a slow one.
    package var secretHash: [UInt8] { Array(digest) }

    /// Compares without telling by its time how much was right.
    package func matches(hash: [UInt8]) -> Bool { digest == hash }

    private var digest: SHA256Digest {
        var secret = secret
        return secret.withUTF8 { characters in
            var function = SHA256()
            function.update(bufferPointer: UnsafeRawBufferPointer(characters))
            return function.finalize()
        }
    }
}
