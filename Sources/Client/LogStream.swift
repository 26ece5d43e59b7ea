import AsyncHTTPClient
import NIOCore

/// Recorded output in pieces; a slow reader slows the server. For one iterator.
public struct LogStream: AsyncSequence, Sendable {
    let body: HTTPClientResponse.Body

    public struct AsyncIterator: AsyncIteratorProtocol {
        var body: HTTPClientResponse.Body.AsyncIterator

        public mutating func next() async throws -> [UInt8]? {
            do {
                return try await body.next().map { Array($0.readableBytesView) }
            } catch {
                throw try Transport.translated(error)
            }
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(body: body.makeAsyncIterator()) }
}
