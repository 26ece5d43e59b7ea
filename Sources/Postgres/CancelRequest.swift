import CLibPQ
import Glibc

/// Asks the server to stop what a connection is doing.
///
/// libpq's call connects anew and blocks, for minutes if the network is gone, which is just when deadlines pass: so it runs on a thread
/// of its own, and the connection waits for `descriptor` only as long as it wants to.
final class CancelRequest: Sendable {
    /// Readable once the server has taken the request, or it failed.
    let descriptor: Int32

    // PQcancel only reads the copied address and key, and is documented as safe in any thread; freed when nobody uses it any more.
    private nonisolated(unsafe) let request: OpaquePointer

    /// Sends the request. Must be called on the connection's thread; nil if libpq or the system refuses.
    init?(_ connection: ConnectionHandle) {
        guard let request = execbox_pq_cancel_prepare(connection.raw) else { return nil }
        self.request = request
        self.descriptor = execbox_eventfd()
        guard self.descriptor >= 0 else { return nil }
        do throws(PostgresError) {
            try DedicatedThread.start("pg-cancel") {
                _ = execbox_pq_cancel_send(self.request)
                var one: UInt64 = 1
                _ = write(self.descriptor, &one, 8)
            }
        } catch {
            return nil
        }
    }

    deinit {
        execbox_pq_cancel_free(self.request)
        if self.descriptor >= 0 { close(self.descriptor) }
    }
}
