/// What all output buffers together may take, in bytes.
final class BufferBudget {
    private static let mostBytes = 24 << 20
    /// The least a process can work with.
    static let leastBufferBytes = 32 * 1024

    let limit: Int
    private(set) var used = 0

    /// - Parameter memoryLimitBytes: the sandbox's; 0 means none.
    init(memoryLimitBytes: UInt64) {
        limit = memoryLimitBytes == 0 ? Self.mostBytes : min(Self.mostBytes, Int(clamping: memoryLimitBytes / 8))
    }

    /// The largest of `bytes`, its half, its quarter … that still fits; nil if not even the least does.
    func fitting(_ bytes: Int) -> Int? {
        var size = max(bytes, Self.leastBufferBytes)
        while size > limit - used {
            guard size > Self.leastBufferBytes else { return nil }
            size = max(size / 2, Self.leastBufferBytes)
        }
        return size
    }

    func take(_ bytes: Int) { used += bytes }
    func giveBack(_ bytes: Int) { used -= bytes }
}
