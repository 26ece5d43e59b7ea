/// Sends HTTP requests through one libcurl multi handle on a thread of its own; connections are kept and used again.
///
/// Many tasks may use one client. When the last reference goes, or at `shutdown()`, what still runs ends with `CurlError.Code.closed`.
package final class CurlClient: Sendable {
    private let loop = CurlLoop()

    package init() {}

    deinit { loop.stop() }

    /// Ends every transfer; later ones are refused.
    package func shutdown() { loop.stop() }

    /// Sends the request and reads the whole answer, up to `maximumBodyBytes`. Cancelling the task ends the transfer.
    package func send(_ request: CurlRequest, maximumBodyBytes: Int = 16 * 1024 * 1024) async throws(CurlError) -> CurlResponse {
        do {
            return try await withResponse(to: request) { response in
                let body = try await response.collect(upTo: maximumBodyBytes)
                return CurlResponse(status: response.status, headers: response.headers, body: body)
            }
        } catch let error as CurlError {
            throw error
        } catch {
            throw CurlError(.other, detail: "\(error)")
        }
    }

    /// Sends the request and hands the answer to `read` as soon as its head is there; what `read` leaves unread is dropped and the
    /// transfer ends with it. A streamed request body goes on being sent while `read` runs.
    ///
    /// Throws `CurlError` for the transfer and whatever `read` throws.
    package func withResponse<Result: Sendable>(
        to request: CurlRequest, read: (CurlResponseStream) async throws -> Result
    ) async throws -> Result {
        if let refusal = request.refusal { throw CurlError(.invalidRequest, detail: refusal) }
        let transfer = CurlTransfer(request, loop: loop)
        return try await withTaskCancellationHandler {
            guard !Task.isCancelled else { throw CurlError(.cancelled) }
            loop.enqueue(.add(transfer))
            guard case .stream(_, let write) = request.body else {
                defer { transfer.abort(CurlError(.cancelled)) }
                return try await read(try await transfer.responseHead())
            }
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    do {
                        try await write(CurlBodyWriter(transfer: transfer))
                        try transfer.endUpload()
                    } catch {
                        // No effect when the transfer had ended and that is what the writer ran into.
                        transfer.abort(CurlError(.uploadFailed, detail: "\(error)"))
                    }
                }
                defer {
                    transfer.abort(CurlError(.cancelled))
                    group.cancelAll()
                }
                return try await read(try await transfer.responseHead())
            }
        } onCancel: {
            transfer.abort(CurlError(.cancelled))
        }
    }
}
