/// Why a transfer failed. The description is bland enough for any log or caller; `detail` has libcurl's own words, which may name addresses.
package struct CurlError: Error, Equatable, Sendable {
    package enum Code: String, Sendable {
        /// Nothing listens, the socket file is missing, or the name does not resolve.
        case couldNotConnect
        case timedOut
        /// Every address of the host is one that the request does not allow.
        case addressNotAllowed
        /// The caller's task was cancelled, or its scope was left.
        case cancelled
        /// No secure connection: certificate, protocol version.
        case tls
        /// The answer's body is longer than the request allows.
        case bodyTooLarge
        /// The peer went away before everything was sent or received.
        case connectionLost
        /// The request body's own source failed.
        case uploadFailed
        /// The request cannot be sent as it is.
        case invalidRequest
        /// The client was shut down.
        case closed
        case other
    }

    package let code: Code
    /// libcurl's number, 0 when the failure is not libcurl's.
    package let curlCode: Int32
    package let detail: String

    package init(_ code: Code, curlCode: Int32 = 0, detail: String = "") {
        self.code = code
        self.curlCode = curlCode
        self.detail = detail
    }
}

extension CurlError: CustomStringConvertible, CustomDebugStringConvertible {
    package var description: String {
        switch code {
        case .couldNotConnect: "could not connect"
        case .addressNotAllowed: "the host's address may not be connected to"
        case .timedOut: "no answer in time"
        case .cancelled: "cancelled"
        case .tls: "no secure connection"
        case .bodyTooLarge: "the answer is too large"
        case .connectionLost: "the connection was lost"
        case .uploadFailed: "the request body could not be read"
        case .invalidRequest: "the request cannot be sent"
        case .closed: "the client was shut down"
        case .other: "the transfer failed"
        }
    }

    package var debugDescription: String { "\(description) (curl \(curlCode): \(detail))" }
}
