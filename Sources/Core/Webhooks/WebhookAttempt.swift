import Crypto
import ExecboxModel

/// A delivery that is due, with everything that its request needs.
package struct WebhookAttempt: Sendable {
    /// How long one attempt may take, and how much of an answer is read.
    package static let timeout = Duration.seconds(10)
    package static let maxAnswerBytes = 64 * 1024

    package var id: String
    package var event: String
    package var url: String
    package var payload: String
    var secretSealed: [UInt8]
    var webhookID: WebhookID
    /// Before this one.
    var attempts: Int

    /// `Execbox-Signature`: a receiver computes HMAC-SHA256 (RFC 2104) with the webhook's secret over `t`, a dot and the body as it came,
    /// compares it with `v1`, and refuses a `t` that is minutes away from its own clock.
    static func signature(of payload: String, secret: String, at now: Timestamp) -> String {
        let seconds = now.unixMicroseconds / 1_000_000
        let code = HMAC<SHA256>.authenticationCode(
            for: Array("\(seconds).\(payload)".utf8), using: SymmetricKey(data: Array(secret.utf8)))
        let hex = code.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        return "t=\(seconds),v1=\(hex)"
    }

    /// Until the next attempt: 5 s, doubled each time up to an hour, and up to a fifth more, so that receivers that come back are not
    /// met by all at once.
    static func pause(after attempts: Int, jitter: Double) -> Duration {
        .seconds(min(3600, 5 * Double(1 << min(attempts - 1, 12))) * (1 + jitter / 5))
    }
}
