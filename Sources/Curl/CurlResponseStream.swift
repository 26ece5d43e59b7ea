/// An answer whose body is still coming. It lives as long as the closure of `CurlClient.withResponse` runs.
///
/// The body is read once, by one reader; while it is not read, the peer is held back and at most `CurlTransfer.receiveBound` bytes and one
/// read of libcurl's are kept.
package struct CurlResponseStream: Sendable {
    package let status: Int
    package let headers: [CurlHeader]
    let transfer: CurlTransfer

    /// The body's bytes as they come, in pieces of no particular size.
    package var body: Body { Body(transfer: transfer) }

    /// Reads what is left of the body.
    package func collect(upTo maximumBytes: Int) async throws(CurlError) -> [UInt8] {
        var bytes: [UInt8] = []
        while let chunk = try await transfer.nextChunk() {
            guard bytes.count + chunk.count <= maximumBytes else {
                throw CurlError(.bodyTooLarge, detail: "more than \(maximumBytes) bytes")
            }
            if bytes.isEmpty { bytes = chunk } else { bytes.append(contentsOf: chunk) }
        }
        return bytes
    }

    package struct Body: AsyncSequence, Sendable {
        package typealias Element = [UInt8]
        let transfer: CurlTransfer

        package struct AsyncIterator: AsyncIteratorProtocol {
            let transfer: CurlTransfer

            package func next() async throws(CurlError) -> [UInt8]? { try await transfer.nextChunk() }

            package func next(isolation actor: isolated (any Actor)?) async throws(CurlError) -> [UInt8]? {
                try await transfer.nextChunk()
            }
        }

        package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(transfer: transfer) }
    }
}
