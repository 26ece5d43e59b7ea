/// The parameters of one call in the arrays libpq takes.
struct ParameterBuffer {
    private let types: [UInt32]
    private let formats: [Int32]
    private let lengths: [Int32]

    // All values behind each other, each with a zero after it, since libpq measures text itself.
    private let bytes: [UInt8]

    /// nil is NULL.
    private let offsets: [Int?]

    var count: Int32 { Int32(self.types.count) }

    init(_ parameters: [PostgresParameter]) throws(PostgresError) {
        guard parameters.count <= 65_535 else { throw PostgresError(.invalidParameter, "\(parameters.count) parameters") }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(parameters.reduce(0) { $0 + ($1.bytes?.count ?? 0) + 1 })
        var offsets: [Int?] = []
        for (index, parameter) in parameters.enumerated() {
            guard let value = parameter.bytes else {
                offsets.append(nil)
                continue
            }
            // libpq would end the text there, and silently.
            if parameter.format == .text, value.contains(0) {
                throw PostgresError(.invalidParameter, "parameter $\(index + 1) is text with a zero byte")
            }
            guard value.count < Int32.max else { throw PostgresError(.invalidParameter, "parameter $\(index + 1) is over 2 GiB") }
            offsets.append(bytes.count)
            bytes += value
            bytes.append(0)
        }
        self.types = parameters.map(\.type.rawValue)
        self.formats = parameters.map(\.format.rawValue)
        self.lengths = parameters.map { Int32($0.bytes?.count ?? 0) }
        self.bytes = bytes
        self.offsets = offsets
    }

    /// Calls `body` with types, values, lengths and formats, valid until it returns: libpq copies.
    func withPointers<Value>(_ body: ([UInt32], [UnsafePointer<CChar>?], [Int32], [Int32]) -> Value) -> Value {
        self.bytes.withUnsafeBytes { buffer in
            let start = buffer.baseAddress?.assumingMemoryBound(to: CChar.self)
            return body(self.types, self.offsets.map { offset in offset.flatMap { start?.advanced(by: $0) } }, self.lengths, self.formats)
        }
    }
}
