/// One column of one row, still in the server's binary format.
package struct PostgresCell: Sendable {
    /// The column's name, for errors.
    package let column: String

    /// The column's type, which says how `bytes` are to be read.
    package let type: PostgresType

    /// nil is NULL.
    package let bytes: ArraySlice<UInt8>?

    /// For tests of `PostgresDecodable` types; rows make their own.
    package init(column: String, type: PostgresType, bytes: ArraySlice<UInt8>?) {
        self.column = column
        self.type = type
        self.bytes = bytes
    }

    /// The bytes of a value that must not be NULL.
    package func contents() throws(PostgresError) -> ArraySlice<UInt8> {
        guard let bytes else { throw PostgresError(.decoding, "column \"\(self.column)\" is NULL") }
        return bytes
    }

    /// The error for a column whose type is not one that `swiftType` is read from.
    package func mismatch(_ swiftType: String) -> PostgresError {
        PostgresError(.decoding, "column \"\(self.column)\" is \(self.type), which is not read as \(swiftType)")
    }

    /// The error for bytes, or a value, that make no sense for their type.
    package func malformed(_ what: String) -> PostgresError {
        PostgresError(.decoding, "column \"\(self.column)\" (\(self.type)) holds \(what)")
    }

    func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws(PostgresError) -> Value {
        let bytes = try self.contents()
        guard bytes.count == MemoryLayout<Value>.size else { throw self.malformed("\(bytes.count) bytes") }
        return Value(bigEndianBytes: bytes)
    }
}

extension FixedWidthInteger {
    /// `bytes` holds exactly as many bytes as the integer has.
    init(bigEndianBytes bytes: ArraySlice<UInt8>) {
        self = Self(bigEndian: bytes.withUnsafeBytes { $0.loadUnaligned(as: Self.self) })
    }
}
