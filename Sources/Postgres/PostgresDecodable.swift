/// A value that can be read from a column.
///
/// Types with a raw value that is decodable get the conformance for free by declaring it.
package protocol PostgresDecodable {
    /// Throws `.decoding`, naming the column, for a type this is not read from and for NULL.
    static func decode(_ cell: PostgresCell) throws(PostgresError) -> Self
}

extension PostgresDecodable where Self: RawRepresentable, RawValue: PostgresDecodable {
    package static func decode(_ cell: PostgresCell) throws(PostgresError) -> Self {
        guard let value = Self(rawValue: try RawValue.decode(cell)) else { throw cell.malformed("no \(Self.self)") }
        return value
    }
}

/// From `int2`, `int4` and `int8`.
extension Int64: PostgresDecodable {
    package static func decode(_ cell: PostgresCell) throws(PostgresError) -> Int64 {
        switch cell.type {
        case .int8: try cell.integer(Int64.self)
        case .int4: Int64(try cell.integer(Int32.self))
        case .int2: Int64(try cell.integer(Int16.self))
        default: throw cell.mismatch("Int64")
        }
    }
}

/// From `int2`, `int4` and `int8`.
extension Int: PostgresDecodable {
    package static func decode(_ cell: PostgresCell) throws(PostgresError) -> Int {
        Int(try Int64.decode(cell))
    }
}

/// From `int2` and `int4`; an `int8` could lose digits.
extension Int32: PostgresDecodable {
    package static func decode(_ cell: PostgresCell) throws(PostgresError) -> Int32 {
        switch cell.type {
        case .int4: try cell.integer(Int32.self)
        case .int2: Int32(try cell.integer(Int16.self))
        default: throw cell.mismatch("Int32")
        }
    }
}

extension Bool: PostgresDecodable {
    package static func decode(_ cell: PostgresCell) throws(PostgresError) -> Bool {
        guard cell.type == .bool else { throw cell.mismatch("Bool") }
        return try cell.integer(UInt8.self) != 0
    }
}

extension Double: PostgresDecodable {
    package static func decode(_ cell: PostgresCell) throws(PostgresError) -> Double {
        guard cell.type == .float8 else { throw cell.mismatch("Double") }
        return Double(bitPattern: try cell.integer(UInt64.self))
    }
}

/// From `text`, `varchar`, `name`, `json`, `jsonb` and `uuid` (lower case, with hyphens).
extension String: PostgresDecodable {
    package static func decode(_ cell: PostgresCell) throws(PostgresError) -> String {
        var bytes = try cell.contents()
        switch cell.type {
        case .text, .varchar, .name, .json: break
        case .jsonb:
            // jsonb_send puts the version of the format, 1, before the text.
            guard bytes.popFirst() == 1 else { throw cell.malformed("an unknown version of jsonb") }
        case .uuid:
            guard bytes.count == 16 else { throw cell.malformed("\(bytes.count) bytes") }
            return Self.uuid(bytes)
        default: throw cell.mismatch("String")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func uuid(_ bytes: ArraySlice<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text.append(UInt8(ascii: "-")) }
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension PostgresTimestamp: PostgresDecodable {
    package static func decode(_ cell: PostgresCell) throws(PostgresError) -> PostgresTimestamp {
        guard cell.type == .timestamptz else { throw cell.mismatch("PostgresTimestamp") }
        guard let timestamp = PostgresTimestamp(microsecondsSince2000: try cell.integer(Int64.self)) else {
            throw cell.malformed("a moment past the year 294246")
        }
        return timestamp
    }
}

/// NULL is nil.
extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
    package static func decode(_ cell: PostgresCell) throws(PostgresError) -> Wrapped? {
        if cell.bytes == nil { return nil }
        return try Wrapped.decode(cell)
    }
}

extension Array: PostgresDecodable where Element: PostgresArrayElement {
    package static func decode(_ cell: PostgresCell) throws(PostgresError) -> [Element] {
        try Element.decode(cell)
    }
}
