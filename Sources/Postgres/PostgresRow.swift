/// One row, copied out of libpq: it stays valid for as long as it is kept.
package struct PostgresRow: Sendable {
    let columns: PostgresColumns

    // All values behind each other; value i ends at ends[i] and begins where the one before ended. A NULL has no bytes.
    private let bytes: [UInt8]
    private let ends: [Int]
    private let nulls: [Bool]

    init(columns: PostgresColumns, bytes: [UInt8], ends: [Int], nulls: [Bool]) {
        self.columns = columns
        self.bytes = bytes
        self.ends = ends
        self.nulls = nulls
    }

    /// The names of the columns, in the order of the statement.
    package var columnNames: [String] { self.columns.names }

    /// The value of the named column, for example `row.decode(Int64.self, "id")`; ask for an optional where NULL is possible.
    ///
    /// Throws `.decoding` if there is no such column, or two, if it is NULL, or of another type.
    package func decode<Value: PostgresDecodable>(_ type: Value.Type, _ column: String) throws(PostgresError) -> Value {
        try Value.decode(try self.cell(column))
    }

    /// As `decode(_:_:)`, with the type taken from where the value goes: `let id: Int64 = try row.decode("id")`.
    package func decode<Value: PostgresDecodable>(_ column: String) throws(PostgresError) -> Value {
        try Value.decode(try self.cell(column))
    }

    /// The value of the column at a position, from 0.
    package func decode<Value: PostgresDecodable>(_ type: Value.Type, at index: Int) throws(PostgresError) -> Value {
        try Value.decode(try self.cell(at: index))
    }

    /// The whole row at once: `let (id, name) = try row.decode((Int64, String?).self)`. The number of columns must be the same.
    package func decode<each Value: PostgresDecodable>(
        _ type: (repeat each Value).Type
    ) throws(PostgresError) -> (repeat each Value) {
        var count = 0
        for _ in repeat (each Value).self { count += 1 }
        guard count == self.columns.names.count else {
            throw PostgresError(.decoding, "the row has \(self.columns.names.count) columns, not \(count)")
        }
        var index = -1
        func next<One: PostgresDecodable>(_ type: One.Type) throws(PostgresError) -> One {
            index += 1
            return try One.decode(try self.cell(at: index))
        }
        return (repeat try next((each Value).self))
    }

    /// The raw value of the named column.
    package func cell(_ column: String) throws(PostgresError) -> PostgresCell {
        switch self.columns.positions[column] {
        case .some(.some(let index)): return try self.cell(at: index)
        case .some(.none): throw PostgresError(.decoding, "there are several columns named \"\(column)\"")
        case .none: throw PostgresError(.decoding, "there is no column \"\(column)\"")
        }
    }

    /// The raw value of the column at a position, from 0.
    package func cell(at index: Int) throws(PostgresError) -> PostgresCell {
        guard self.ends.indices.contains(index) else { throw PostgresError(.decoding, "there is no column \(index)") }
        let start = index == 0 ? 0 : self.ends[index - 1]
        return PostgresCell(
            column: self.columns.names[index],
            type: self.columns.types[index],
            bytes: self.nulls[index] ? nil : self.bytes[start..<self.ends[index]]
        )
    }
}

/// What all rows of a result share.
final class PostgresColumns: Sendable {
    let names: [String]
    let types: [PostgresType]

    /// nil for a name that occurs more than once.
    let positions: [String: Int?]

    init(names: [String], types: [PostgresType]) {
        self.names = names
        self.types = types
        var positions: [String: Int?] = [:]
        for (index, name) in names.enumerated() {
            positions.updateValue(positions.keys.contains(name) ? nil : index, forKey: name)
        }
        self.positions = positions
    }
}
