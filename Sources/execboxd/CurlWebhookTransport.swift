import ExecboxCore
import ExecboxCurl

/// Sends webhooks with libcurl, whose connections are checked when their addresses are known: names may mean something else by then.
struct CurlWebhookTransport: WebhookTransport {
    private let client = CurlClient()
    private let allowed: [IPNetwork]
    private let certificateAuthorityFile: String?

    /// - Parameter allowed: networks that are not public and may be connected to nevertheless.
    init(allowed: [IPNetwork], certificateAuthorityFile: String?) {
        self.allowed = allowed
        self.certificateAuthorityFile = certificateAuthorityFile
    }

    func post(_ attempt: WebhookAttempt, headers: [(name: String, value: String)]) async throws -> Int {
        let timeouts = CurlTimeouts(connect: WebhookAttempt.timeout, total: WebhookAttempt.timeout)
        var request = CurlRequest(
            method: "POST", url: attempt.url,
            headers: [CurlHeader("Content-Type", "application/json"), CurlHeader("User-Agent", "Execbox-Webhooks")]
                + headers.map { CurlHeader($0.name, $0.value) },
            body: .bytes(Array(attempt.payload.utf8)), timeouts: timeouts, certificateAuthorityFile: certificateAuthorityFile)
        request.allowsAddress = { [allowed] bytes in
            let address = bytes.count == 4 ? IPAddress(v4: bytes) : IPAddress(v6: bytes)
            return allowed.contains { $0.contains(address) } || !IPNetwork.notPublic.contains { $0.contains(address) }
        }
        return try await client.withResponse(to: request) { response in
            // The status counts, the rest is read so that the receiver can finish; of a long answer no more.
            _ = try? await response.collect(upTo: WebhookAttempt.maxAnswerBytes)
            return response.status
        }
    }
}
