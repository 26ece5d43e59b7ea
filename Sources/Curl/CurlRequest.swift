/// What to send, and how long to wait. No redirect is followed, no proxy used, no body decompressed.
package struct CurlRequest: Sendable {
    package enum Body: Sendable {
        case none
        case bytes([UInt8])
        /// `write` runs as a child of the call that sends the request and is held back while the peer is slow. With no `length` the body
        /// travels in chunks. When it throws, the transfer ends with `CurlError.Code.uploadFailed`.
        case stream(length: Int64?, write: @Sendable (CurlBodyWriter) async throws -> Void)

        /// A body that is pulled from `sequence` as fast as the peer takes it.
        package static func sequence<Source: AsyncSequence & Sendable>(_ sequence: Source, length: Int64? = nil) -> Self
        where Source.Element == [UInt8] {
            .stream(length: length) { writer in
                for try await bytes in sequence { try await writer.write(bytes) }
            }
        }
    }

    package var method: String
    /// Sent as it stands: escape before.
    package var url: String
    package var headers: [CurlHeader]
    package var body: Body
    /// Connects there instead of to the URL's host.
    package var unixSocketPath: String?
    package var timeouts: CurlTimeouts
    /// A file of certificates to trust instead of the system's.
    package var certificateAuthorityFile: String?
    /// Whether an address, 4 or 16 bytes in network order, may be connected to; asked once the name is resolved, for every connection that
    /// is tried. Such a request uses no connection of another one.
    package var allowsAddress: (@Sendable ([UInt8]) -> Bool)?

    package init(
        method: String = "GET", url: String, headers: [CurlHeader] = [], body: Body = .none, unixSocketPath: String? = nil,
        timeouts: CurlTimeouts = CurlTimeouts(), certificateAuthorityFile: String? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.unixSocketPath = unixSocketPath
        self.timeouts = timeouts
        self.certificateAuthorityFile = certificateAuthorityFile
    }

    /// Nil when the request is safe to hand to libcurl: a line break in a header would be a second header, a NUL would cut a value short.
    var refusal: String? {
        if method.isEmpty || !method.utf8.allSatisfy({ (65...90).contains($0) }) { return "method" }
        if url.utf8.contains(where: { $0 <= 32 || $0 == 127 }) { return "url" }
        if unixSocketPath?.utf8.contains(0) == true { return "socket path" }
        for header in headers {
            let isName = !header.name.isEmpty && header.name.utf8.allSatisfy { $0 > 32 && $0 < 127 && $0 != UInt8(ascii: ":") }
            if !isName || header.value.utf8.contains(where: { $0 == 0 || $0 == 10 || $0 == 13 }) { return "header \(header.name)" }
        }
        return nil
    }
}
