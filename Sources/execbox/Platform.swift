#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Blocking system calls, repeated when a signal interrupts them.
enum Platform {
    /// Runs what `atexit` was told.
    static func exit(_ status: Int32) -> Never {
        #if canImport(Glibc)
            Glibc.exit(status)
        #else
            Darwin.exit(status)
        #endif
    }

    /// - Returns: how much was written, or -1.
    static func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        #if canImport(Glibc)
            repeating { Glibc.write(descriptor, bytes.baseAddress, bytes.count) }
        #else
            repeating { Darwin.write(descriptor, bytes.baseAddress, bytes.count) }
        #endif
    }

    /// - Returns: nil at the end or on an error.
    static func read(_ descriptor: Int32, max: Int) -> [UInt8]? {
        let bytes = [UInt8](unsafeUninitializedCapacity: max) { buffer, count in
            #if canImport(Glibc)
                count = Swift.max(0, repeating { Glibc.read(descriptor, buffer.baseAddress, max) })
            #else
                count = Swift.max(0, repeating { Darwin.read(descriptor, buffer.baseAddress, max) })
            #endif
        }
        return bytes.isEmpty ? nil : bytes
    }

    private static func repeating(_ call: () -> Int) -> Int {
        while true {
            let result = call()
            if result >= 0 { return result }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                // Another process has made the descriptor non-blocking for all of us.
                usleep(10_000)
            default: return result
            }
        }
    }
}
