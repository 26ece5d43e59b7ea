/// Builds a small tar archive in memory (POSIX ustar): what the engine takes to fill a volume or make an image.
struct TarArchive {
    private(set) var bytes: [UInt8] = []

    mutating func addFolder(_ name: String, mode: Int) { addHeader(name + "/", mode: mode, size: 0, type: UInt8(ascii: "5")) }

    mutating func addFile(_ name: String, mode: Int, contents: [UInt8]) {
        addHeader(name, mode: mode, size: contents.count, type: UInt8(ascii: "0"))
        bytes.append(contentsOf: contents)
        bytes.append(contentsOf: repeatElement(0, count: (512 - contents.count % 512) % 512))
    }

    /// The archive with its two closing blocks.
    var finished: [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }

    private mutating func addHeader(_ name: String, mode: Int, size: Int, type: UInt8) {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, at offset: Int) {
            for (index, byte) in text.utf8.enumerated() { header[offset + index] = byte }
        }
        func octal(_ number: Int, digits: Int) -> String {
            let text = String(number, radix: 8)
            return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
        }
        put(String(decoding: name.utf8.prefix(99), as: UTF8.self), at: 0)
        put(octal(mode, digits: 7), at: 100)
        put(octal(0, digits: 7), at: 108)
        put(octal(0, digits: 7), at: 116)
        put(octal(size, digits: 11), at: 124)
        put(octal(0, digits: 11), at: 136)
        header[156] = type
        put("ustar", at: 257)
        put("00", at: 263)
        // The sum is taken with blanks in its own place.
        put("        ", at: 148)
        put(octal(header.reduce(0) { $0 + Int($1) }, digits: 6), at: 148)
        header[154] = 0
        bytes.append(contentsOf: header)
    }
}
