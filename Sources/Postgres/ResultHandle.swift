import CLibPQ

/// A `PGresult` with its one owner; libpq's memory goes when the handle does.
struct ResultHandle: ~Copyable {
    let raw: OpaquePointer

    init(owning raw: OpaquePointer) {
        self.raw = raw
    }

    deinit {
        PQclear(self.raw)
    }

    var status: ExecStatusType { PQresultStatus(self.raw) }
    var rowCount: Int32 { PQntuples(self.raw) }
    var tag: String { PQcmdStatus(self.raw).map { String(cString: $0) } ?? "" }
    var affectedRows: Int { PQcmdTuples(self.raw).flatMap { Int(String(cString: $0)) } ?? 0 }

    var error: PostgresError {
        let state = self.field(execbox_pq_diag_sqlstate()).map { SQLState(rawValue: $0) }
        let constraint = self.field(execbox_pq_diag_constraint())
        var message = self.field(execbox_pq_diag_message()) ?? PQresultErrorMessage(self.raw).map { String(cString: $0) } ?? "no message"
        if let detail = self.field(execbox_pq_diag_detail()) { message += "; \(detail)" }
        if let hint = self.field(execbox_pq_diag_hint()) { message += "; hint: \(hint)" }
        if let context = self.field(execbox_pq_diag_context()) { message += "; context: \(context)" }
        if let position = self.field(execbox_pq_diag_position()) { message += "; at character \(position)" }
        // Without a SQLSTATE it is libpq that speaks, and then the connection is broken.
        guard let state, !state.endsConnection else {
            return PostgresError(.connectionLost, message, sqlState: state, constraint: constraint)
        }
        return PostgresError(.server(state), message, sqlState: state, constraint: constraint)
    }

    /// The names and types of the columns.
    func columns() -> PostgresColumns {
        let indices = 0..<PQnfields(self.raw)
        return PostgresColumns(
            names: indices.map { index in PQfname(self.raw, index).map { String(cString: $0) } ?? "" },
            types: indices.map { PostgresType(rawValue: PQftype(self.raw, $0)) }
        )
    }

    /// A copy of one row.
    func row(_ row: Int32, columns: PostgresColumns) -> PostgresRow {
        let indices = 0..<PQnfields(self.raw)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(self.size(row))
        var ends: [Int] = []
        var nulls: [Bool] = []
        ends.reserveCapacity(indices.count)
        nulls.reserveCapacity(indices.count)
        for column in indices {
            let isNull = PQgetisnull(self.raw, row, column) == 1
            // The length libpq gives, never a search for a zero: binary values are full of them.
            if !isNull, let start = PQgetvalue(self.raw, row, column) {
                bytes.append(contentsOf: UnsafeRawBufferPointer(start: start, count: Int(PQgetlength(self.raw, row, column))))
            }
            ends.append(bytes.count)
            nulls.append(isNull)
        }
        return PostgresRow(columns: columns, bytes: bytes, ends: ends, nulls: nulls)
    }

    /// The bytes of all values of a row.
    func size(_ row: Int32) -> Int {
        (0..<PQnfields(self.raw)).reduce(0) { $0 + Int(PQgetlength(self.raw, row, $1)) }
    }

    private func field(_ code: Int32) -> String? {
        PQresultErrorField(self.raw, code).map { String(cString: $0) }
    }
}
