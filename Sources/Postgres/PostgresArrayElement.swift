/// What an array may hold to be a parameter or a column: `[String]` is `text[]`, `[Int64]` and `[Int]` are `int8[]`, `[UInt8]` is `bytea`.
package protocol PostgresArrayElement: Sendable {
    /// What the server is told an array of these is.
    static var postgresArrayType: PostgresType { get }

    /// The array in binary format.
    static func encode(_ elements: [Self]) -> [UInt8]

    /// Throws `.decoding`, naming the column, for another type, NULL, a NULL inside, and more than one dimension.
    static func decode(_ cell: PostgresCell) throws(PostgresError) -> [Self]
}

extension UInt8: PostgresArrayElement {
    package static var postgresArrayType: PostgresType { .bytea }
    package static func encode(_ elements: [UInt8]) -> [UInt8] { elements }
    package static func decode(_ cell: PostgresCell) throws(PostgresError) -> [UInt8] {
        guard cell.type == .bytea else { throw cell.mismatch("[UInt8]") }
        return Array(try cell.contents())
    }
}

extension String: PostgresArrayElement {
    package static var postgresArrayType: PostgresType { .textArray }
    package static func encode(_ elements: [String]) -> [UInt8] {
        ArrayWire.encode(elements, of: .text) { Array($0.utf8) }
    }
    package static func decode(_ cell: PostgresCell) throws(PostgresError) -> [String] {
        guard cell.type == .textArray || cell.type == .varcharArray else { throw cell.mismatch("[String]") }
        return try ArrayWire.decode(cell) { element throws(PostgresError) in try String.decode(element) }
    }
}

extension Int64: PostgresArrayElement {
    package static var postgresArrayType: PostgresType { .int8Array }
    package static func encode(_ elements: [Int64]) -> [UInt8] {
        ArrayWire.encode(elements, of: .int8) { $0.bigEndianBytes }
    }
    package static func decode(_ cell: PostgresCell) throws(PostgresError) -> [Int64] {
        guard cell.type == .int8Array || cell.type == .int4Array else { throw cell.mismatch("[Int64]") }
        return try ArrayWire.decode(cell) { element throws(PostgresError) in try Int64.decode(element) }
    }
}

extension Int: PostgresArrayElement {
    package static var postgresArrayType: PostgresType { .int8Array }
    package static func encode(_ elements: [Int]) -> [UInt8] { Int64.encode(elements.map { Int64($0) }) }
    package static func decode(_ cell: PostgresCell) throws(PostgresError) -> [Int] {
        try Int64.decode(cell).map { Int($0) }
    }
}

/// The binary form of a one-dimensional array (`array_send` in the server): dimensions, has-NULLs flag, element type,
/// then length and lower bound of each dimension, then each element after its length.
private enum ArrayWire {
    static func encode<Element>(_ elements: [Element], of type: PostgresType, _ bytes: (Element) -> [UInt8]) -> [UInt8] {
        var wire: [UInt8] = []
        wire += Int32(elements.isEmpty ? 0 : 1).bigEndianBytes
        wire += Int32(0).bigEndianBytes
        wire += type.rawValue.bigEndianBytes
        guard !elements.isEmpty else { return wire }
        wire += Int32(clamping: elements.count).bigEndianBytes
        wire += Int32(1).bigEndianBytes
        for element in elements {
            let contents = bytes(element)
            wire += Int32(clamping: contents.count).bigEndianBytes
            wire += contents
        }
        return wire
    }

    static func decode<Element>(
        _ cell: PostgresCell, _ element: (PostgresCell) throws(PostgresError) -> Element
    ) throws(PostgresError) -> [Element] {
        var rest = try cell.contents()
        let dimensions = try Self.integer(&rest, cell)
        _ = try Self.integer(&rest, cell)
        let type = PostgresType(rawValue: UInt32(bitPattern: try Self.integer(&rest, cell)))
        if dimensions == 0 { return [] }
        guard dimensions == 1 else { throw cell.malformed("an array of \(dimensions) dimensions") }
        let count = try Self.integer(&rest, cell)
        _ = try Self.integer(&rest, cell)
        var elements: [Element] = []
        for _ in 0..<max(0, count) {
            let length = try Self.integer(&rest, cell)
            guard length >= 0 else { throw cell.malformed("a NULL in an array") }
            guard rest.count >= Int(length) else { throw cell.malformed("a cut array") }
            elements.append(try element(PostgresCell(column: cell.column, type: type, bytes: rest.prefix(Int(length)))))
            rest = rest.dropFirst(Int(length))
        }
        return elements
    }

    private static func integer(_ rest: inout ArraySlice<UInt8>, _ cell: PostgresCell) throws(PostgresError) -> Int32 {
        guard rest.count >= 4 else { throw cell.malformed("a cut array") }
        defer { rest = rest.dropFirst(4) }
        return Int32(bigEndianBytes: rest.prefix(4))
    }
}
