import Glibc

/// C strings in an array that ends with NULL, as libpq and `posix_spawn` take them.
struct CStringArray: ~Copyable {
    private let count: Int

    private let start: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

    init(_ strings: [String]) {
        self.count = strings.count
        self.start = .allocate(capacity: strings.count + 1)
        for (index, string) in strings.enumerated() { (self.start + index).initialize(to: strdup(string)) }
        (self.start + strings.count).initialize(to: nil)
    }

    deinit {
        for index in 0..<self.count { free(self.start[index]) }
        self.start.deallocate()
    }

    /// For libpq. The pointer is good until `body` returns.
    borrowing func withPointer<Value>(_ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Value) -> Value {
        body(UnsafePointer(UnsafeMutableRawPointer(self.start).assumingMemoryBound(to: UnsafePointer<CChar>?.self)))
    }

    /// For `posix_spawn`, which promises not to write. The pointer is good until `body` returns.
    borrowing func withMutablePointer<Value>(_ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Value) -> Value {
        body(self.start)
    }
}
