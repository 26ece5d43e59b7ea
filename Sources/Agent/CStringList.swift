/// Strings as C wants them: in one block, each with a zero behind it.
struct CStringList {
    private var bytes: [CChar] = []
    private var offsets: [Int] = []

    init(_ strings: [String]) {
        offsets.reserveCapacity(strings.count)
        for string in strings {
            offsets.append(bytes.count)
            bytes.append(contentsOf: string.utf8.lazy.map { CChar(bitPattern: $0) })
            bytes.append(0)
        }
    }

    /// Hands over a list of pointers that ends with a null pointer and is valid during the call.
    func withPointers<Result>(_ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result?) -> Result? {
        bytes.withUnsafeBufferPointer { bytes in
            let pointers = offsets.map { offset in bytes.baseAddress.map { $0 + offset } } + [nil]
            return pointers.withUnsafeBufferPointer { pointers in pointers.baseAddress.flatMap(body) }
        }
    }
}
