/// Takes a message's fields off its payload one after the other, never past its end.
struct FieldReader<Bytes: Collection> where Bytes.Element == UInt8 {
    private var rest: Bytes.SubSequence
    private var left: Int

    init(_ bytes: Bytes) {
        self.rest = bytes[...]
        self.left = bytes.count
    }

    private mutating func integer<Number: FixedWidthInteger>(_: Number.Type) throws(WireError) -> Number {
        let size = Number.bitWidth / 8
        guard left >= size else { throw .truncated }
        var value: Number = 0
        for byte in rest.prefix(size) { value = value << 8 | Number(truncatingIfNeeded: byte) }
        rest = rest.dropFirst(size)
        left -= size
        return value
    }

    mutating func uint8() throws(WireError) -> UInt8 {
        guard let byte = rest.first else { throw .truncated }
        rest = rest.dropFirst()
        left -= 1
        return byte
    }
    mutating func uint16() throws(WireError) -> UInt16 { try integer(UInt16.self) }
    mutating func uint32() throws(WireError) -> UInt32 { try integer(UInt32.self) }
    mutating func uint64() throws(WireError) -> UInt64 { try integer(UInt64.self) }
    mutating func int32() throws(WireError) -> Int32 { Int32(bitPattern: try uint32()) }

    mutating func bool(_ field: String) throws(WireError) -> Bool {
        switch try uint8() {
        case 0: false
        case 1: true
        default: throw .invalidField(field)
        }
    }

    mutating func bytes(max: Int) throws(WireError) -> [UInt8] {
        let length = Int(try uint32())
        guard length <= max else { throw .tooLong(length: length, limit: max) }
        guard length <= left else { throw .truncated }
        let data = Array(rest.prefix(length))
        rest = rest.dropFirst(length)
        left -= length
        return data
    }

    /// A string; bytes that are not UTF-8 throw, so that what goes back out is what came in.
    mutating func string(_ field: String, max: Int) throws(WireError) -> String {
        let data = try bytes(max: max)
        guard let text = String(validating: data, as: UTF8.self) else { throw .invalidField(field) }
        return text
    }

    mutating func strings(_ field: String, maxCount: Int, max: Int) throws(WireError) -> [String] {
        let count = Int(try uint32())
        // Every element takes four bytes at least: a count the payload cannot hold allocates nothing.
        guard count <= maxCount, count <= left / 4 else { throw .tooLong(length: count, limit: Swift.min(maxCount, left / 4)) }
        var list: [String] = []
        list.reserveCapacity(count)
        for _ in 0..<count { list.append(try string(field, max: max)) }
        return list
    }

    /// Anything left over makes the message invalid.
    func finish() throws(WireError) {
        guard left == 0 else { throw .lengthMismatch(expected: 0, actual: left) }
    }
}
