import ExecboxWire

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Bytes between files and pipes, with calls that wait.
enum FileStream {
    /// - Returns: false if nobody reads any more.
    @discardableResult
    static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool { bytes.withUnsafeBytes { write($0, to: descriptor) == 0 } }

    /// - Parameter offset: where in a file; nil for what has no places, such as pipes.
    /// - Returns: 0 or an errno.
    static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, at offset: UInt64? = nil) -> Int32 {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count: Int
            if let offset {
                let place = off_t(clamping: offset) + off_t(rest.startIndex)
                count = pwrite(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count, place)
            } else {
                #if canImport(Musl)
                    count = Musl.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                #else
                    count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                #endif
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return count < 0 ? errno : EIO }
            rest = rest.dropFirst(count)
        }
        return 0
    }

    /// - Returns: how many bytes there are in `buffer` now: fewer than it holds at the end of the input only; nil and errno on failure.
    static func fill(_ buffer: UnsafeMutableRawBufferPointer, from descriptor: Int32) -> Int? {
        var filled = 0
        while filled < buffer.count {
            let count = read(descriptor, buffer.baseAddress.map { $0 + filled }, buffer.count - filled)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { break }
            filled += count
        }
        return filled
    }

    /// Sends a file's bytes on, in the kernel where that can be done.
    ///
    /// - Throws: if the file has become shorter: what was announced cannot be kept.
    static func copy(_ file: Int32, from start: UInt64, count: UInt64, to output: Int32, _ path: FilePath) throws(FileFailure) {
        var offset = off_t(clamping: start)
        var left = count
        while left > 0 {
            let sent = sendfile(output, file, &offset, Int(min(left, 1 << 20)))
            if sent > 0 {
                left -= UInt64(sent)
                continue
            }
            if sent < 0, errno == EINTR { continue }
            if sent < 0, errno == EPIPE { return }
            throw sent == 0 ? FileFailure(.failed, "\(path) has become shorter") : path.failure("cannot be read", errno)
        }
    }
}
