import NIOCore
import NIOWebSocket

/// Frames laid out for one flush: headers and small payloads share a buffer, large payloads of a server go out as they are.
struct FrameBatch {
    /// From here on, a buffer of its own costs less than copying.
    static let zeroCopyThreshold = 16 * 1024
    /// A header with an eight-byte length and a mask.
    private static let maxHeaderLength = 14

    private let role: WebSocketRole
    private let allocator: ByteBufferAllocator
    private var open: ByteBuffer?
    private var buffers: [ByteBuffer] = []
    /// Bytes appended since the last `take`.
    private(set) var byteCount = 0

    init(role: WebSocketRole, allocator: ByteBufferAllocator) {
        self.role = role
        self.allocator = allocator
    }

    /// - Parameter hint: bytes of payload likely to follow, this one included; saves growing.
    mutating func append(_ opcode: WebSocketOpcode, _ payload: ByteBuffer, hint: Int = 0) {
        let length = payload.readableBytes
        let isSeparate = role == .server && length >= Self.zeroCopyThreshold
        let copied = Self.maxHeaderLength + (isSeparate ? 0 : length)
        var buffer = open ?? allocator.buffer(capacity: isSeparate ? 64 : max(copied, min(hint + hint / 64, 256 * 1024)))
        open = nil
        let start = buffer.writerIndex
        buffer.writeInteger(0x80 | UInt8(webSocketOpcode: opcode))
        let maskBit: UInt8 = role == .client ? 0x80 : 0
        switch length {
        case ...125: buffer.writeInteger(maskBit | UInt8(truncatingIfNeeded: length))
        case ...0xFFFF:
            buffer.writeInteger(maskBit | 126)
            buffer.writeInteger(UInt16(truncatingIfNeeded: length))
        default:
            buffer.writeInteger(maskBit | 127)
            buffer.writeInteger(UInt64(length))
        }
        if isSeparate {
            byteCount += buffer.writerIndex - start + length
            buffers.append(buffer)
            buffers.append(payload)
            return
        }
        if role == .client {
            let key = MaskingKey.random()
            withUnsafeBytes(of: key.word) { _ = buffer.writeBytes($0) }
            let payloadStart = buffer.writerIndex - buffer.readerIndex
            buffer.writeImmutableBuffer(payload)
            buffer.withUnsafeMutableReadableBytes { key.apply(to: UnsafeMutableRawBufferPointer(rebasing: $0[payloadStart...])) }
        } else {
            buffer.writeImmutableBuffer(payload)
        }
        byteCount += buffer.writerIndex - start
        open = buffer
    }

    /// Everything appended, in order; the batch is empty afterwards.
    mutating func take() -> [ByteBuffer] {
        if let open { buffers.append(open) }
        open = nil
        byteCount = 0
        defer { buffers = [] }
        return buffers
    }
}
