#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// A file of the kernel's that is read again and again, kept open: each read from 0 on makes it anew.
final class CounterFile {
    private let descriptor: Int32

    /// - Returns: nil if it cannot be opened.
    init?(path: String) {
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
    }

    deinit { close(descriptor) }

    /// Up to 4 KiB of it; empty on an error.
    var text: String {
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer in
            let count = pread(descriptor, buffer.baseAddress, buffer.count, 0)
            return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : ""
        }
    }

    /// The file's only number; `max` and what else is none are nil.
    var number: UInt64? { UInt64(text.prefix { $0 != "\n" }) }

    /// The number behind `key` at the start of a line.
    func number(of key: String) -> UInt64? {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2, words[0] == key { return UInt64(words[1]) }
        }
        return nil
    }
}
