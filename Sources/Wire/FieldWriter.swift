/// Appends a message's fields; the counterpart of `FieldReader`.
struct FieldWriter {
    private(set) var bytes: [UInt8] = []

    mutating func integer(_ value: some FixedWidthInteger) { bytes += bigEndian(value) }
    mutating func bool(_ value: Bool) { bytes.append(value ? 1 : 0) }
    mutating func data(_ value: [UInt8]) {
        integer(UInt32(truncatingIfNeeded: value.count))
        bytes += value
    }
    mutating func string(_ value: String) { data(Array(value.utf8)) }
    mutating func strings(_ values: [String]) {
        integer(UInt32(truncatingIfNeeded: values.count))
        for value in values { string(value) }
    }
}
