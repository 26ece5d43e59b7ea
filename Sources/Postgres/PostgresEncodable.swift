/// A value that `\(value)` in an `SQL` literal binds as a parameter.
///
/// Types with a raw value that is encodable get the conformance for free by declaring it.
package protocol PostgresEncodable: Sendable {
    /// What the server is told the parameter is. It does not depend on the value: NULL needs it too.
    static var postgresType: PostgresType { get }

    /// The value in wire format; computed for every statement that binds it.
    var postgresParameter: PostgresParameter { get }
}

extension PostgresEncodable where Self: RawRepresentable, RawValue: PostgresEncodable {
    package static var postgresType: PostgresType { RawValue.postgresType }
    package var postgresParameter: PostgresParameter { self.rawValue.postgresParameter }
}

/// Sent without a type, like a quoted literal: it fits text, uuid, jsonb, inet… columns alike. Where nothing gives a type, write `\(value)::text`.
///
/// Text with a zero byte is refused when the statement is run (`invalidParameter`): PostgreSQL cannot store it.
extension String: PostgresEncodable {
    package static var postgresType: PostgresType { .unspecified }
    package var postgresParameter: PostgresParameter {
        PostgresParameter(type: .unspecified, format: .text, bytes: Array(self.utf8))
    }
}

extension Substring: PostgresEncodable {
    package static var postgresType: PostgresType { .unspecified }
    package var postgresParameter: PostgresParameter { String(self).postgresParameter }
}

extension Int: PostgresEncodable {
    package static var postgresType: PostgresType { .int8 }
    package var postgresParameter: PostgresParameter { Int64(self).postgresParameter }
}

extension Int64: PostgresEncodable {
    package static var postgresType: PostgresType { .int8 }
    package var postgresParameter: PostgresParameter {
        PostgresParameter(type: .int8, format: .binary, bytes: self.bigEndianBytes)
    }
}

extension Int32: PostgresEncodable {
    package static var postgresType: PostgresType { .int4 }
    package var postgresParameter: PostgresParameter {
        PostgresParameter(type: .int4, format: .binary, bytes: self.bigEndianBytes)
    }
}

extension Bool: PostgresEncodable {
    package static var postgresType: PostgresType { .bool }
    package var postgresParameter: PostgresParameter {
        PostgresParameter(type: .bool, format: .binary, bytes: [self ? 1 : 0])
    }
}

extension Double: PostgresEncodable {
    package static var postgresType: PostgresType { .float8 }
    package var postgresParameter: PostgresParameter {
        PostgresParameter(type: .float8, format: .binary, bytes: self.bitPattern.bigEndianBytes)
    }
}

extension PostgresTimestamp: PostgresEncodable {
    package static var postgresType: PostgresType { .timestamptz }
    package var postgresParameter: PostgresParameter {
        PostgresParameter(type: .timestamptz, format: .binary, bytes: self.microsecondsSince2000.bigEndianBytes)
    }
}

extension Optional: PostgresEncodable where Wrapped: PostgresEncodable {
    package static var postgresType: PostgresType { Wrapped.postgresType }
    package var postgresParameter: PostgresParameter {
        self?.postgresParameter ?? PostgresParameter(type: Wrapped.postgresType, format: .binary, bytes: nil)
    }
}

extension Array: PostgresEncodable where Element: PostgresArrayElement {
    package static var postgresType: PostgresType { Element.postgresArrayType }
    package var postgresParameter: PostgresParameter {
        PostgresParameter(type: Element.postgresArrayType, format: .binary, bytes: Element.encode(self))
    }
}

extension FixedWidthInteger {
    var bigEndianBytes: [UInt8] { withUnsafeBytes(of: self.bigEndian) { [UInt8]($0) } }
}
