/// The first byte of a frame (PROTOCOL §3).
public enum FrameType: UInt8, Sendable, CaseIterable {
    case stdin = 0x01
    case stdout = 0x02
    case stderr = 0x03
    case exit = 0x04
    case error = 0x05
    case stdinClose = 0x06
    case resize = 0x07
    case signal = 0x08
    case gap = 0x09
    case credit = 0x0A
}
