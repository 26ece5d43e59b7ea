/// The first byte of a message between server and agent. Frames have the types below 0x20, so both can share one stream.
///
/// 0x2C-0x37 stay free for file, tree and port operations.
public enum AgentMessageType: UInt8, Sendable, CaseIterable {
    case hello = 0x20
    case secret = 0x21
    case start = 0x22
    case attach = 0x23
    case signal = 0x24
    case resize = 0x25
    case hangup = 0x26
    case list = 0x27
    case stats = 0x28
    case setDeadline = 0x29
    case shutdown = 0x2A
    case dismiss = 0x2B
    case done = 0x40
    case failed = 0x41
    case attached = 0x42
    case acknowledge = 0x43
    case exited = 0x44
    case processes = 0x45
    case statistics = 0x46
}
