/// Where a streamed request body is written.
package struct CurlBodyWriter: Sendable {
    let transfer: CurlTransfer

    /// Returns when libcurl has room for more; throws when the transfer has ended, for whatever reason.
    package func write(_ bytes: [UInt8]) async throws(CurlError) {
        try await transfer.write(bytes)
    }
}
