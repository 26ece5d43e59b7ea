/// Recorded output and where it stands. Offsets count stdout and stderr together.
public struct LogPage: Equatable, Sendable {
    public var bytes: [UInt8]
    /// Where the next page begins.
    public var nextOffset: UInt64?
    /// Nothing follows any more.
    public var isComplete: Bool
    /// So many bytes in the range asked for are no longer kept.
    public var missingBytes: UInt64

    public init(bytes: [UInt8], nextOffset: UInt64?, isComplete: Bool, missingBytes: UInt64) {
        self.bytes = bytes
        self.nextOffset = nextOffset
        self.isComplete = isComplete
        self.missingBytes = missingBytes
    }
}
