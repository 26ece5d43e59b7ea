import CLibPQ
import Logging

/// A `PGconn` with its one owner: finished when the handle goes, which also holds for every failed attempt to connect.
final class ConnectionHandle {
    let raw: OpaquePointer
    private let logger: Logger

    /// Begins to connect, without waiting for more than name resolution.
    init(_ configuration: PostgresConfiguration, logger: Logger) throws(PostgresError) {
        let keywords = CStringArray(configuration.keywords.map(\.0))
        let values = CStringArray(configuration.keywords.map(\.1))
        let connection = keywords.withPointer { keywords in values.withPointer { PQconnectStartParams(keywords, $0, 0) } }
        guard let raw = connection else {
            throw PostgresError(.unavailable, "libpq is out of memory")
        }
        self.raw = raw
        self.logger = logger
        // Without a receiver libpq writes notices to stderr. The handle outlives the PGconn, so the pointer stays good.
        PQsetNoticeReceiver(
            raw,
            { context, result in
                guard let context else { return }
                let handle = Unmanaged<ConnectionHandle>.fromOpaque(context).takeUnretainedValue()
                let text = result.flatMap { PQresultErrorField($0, execbox_pq_diag_message()) }.map { String(cString: $0) }
                handle.logger.debug("notice from the database", metadata: ["notice": "\(text ?? "")"])
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    deinit {
        PQfinish(self.raw)
    }

    var status: ConnStatusType { PQstatus(self.raw) }
    var socket: Int32 { PQsocket(self.raw) }
    var transactionStatus: PGTransactionStatusType { PQtransactionStatus(self.raw) }
    var message: String { PQerrorMessage(self.raw).map { String(cString: $0) } ?? "no message" }
}
