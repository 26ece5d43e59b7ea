/// What a stream says.
public enum StreamEvent: Equatable, Sendable {
    case stdout([UInt8])
    case stderr([UInt8])
    /// So many bytes of output are missing here.
    case gap(UInt64)
    /// A message of the server's, such as the reason of an end; the stream goes on unless it ends behind it.
    case error(String)
    /// The exit code, 128 + n after signal n. The last event.
    case exit(Int32)
}
