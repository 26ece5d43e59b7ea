#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Lines for people.
enum StandardError {
    /// In a raw terminal a line needs its carriage return.
    static func say(_ line: String) { write(line + (isatty(STDERR_FILENO) == 1 ? "\r\n" : "\n")) }

    static func write(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Platform.write(STDERR_FILENO, $0) }
            guard written > 0 else { return }
            bytes = bytes.dropFirst(written)
        }
    }
}
