/// One value on its way to the server, already in wire format.
package struct PostgresParameter: Hashable, Sendable {
    /// How `bytes` are to be read by the server.
    package enum Format: Int32, Sendable {
        case text = 0
        case binary = 1
    }

    /// `unspecified` leaves it to the server.
    package let type: PostgresType

    /// Text must not hold a zero byte.
    package let format: Format

    /// nil is NULL.
    package let bytes: [UInt8]?

    /// For types that are no `RawRepresentable` of one of ours.
    package init(type: PostgresType, format: Format, bytes: [UInt8]?) {
        self.type = type
        self.format = format
        self.bytes = bytes
    }
}
