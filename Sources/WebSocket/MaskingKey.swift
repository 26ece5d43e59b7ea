import NIOCore
import NIOWebSocket

/// The four bytes a client's payload is XORed with (RFC 6455 §5.3), as they stand on the wire.
struct MaskingKey: Equatable {
    /// In memory order, so that a word of payload can be taken at once.
    let word: UInt32

    init(_ key: WebSocketMaskingKey) {
        var word: UInt32 = 0
        withUnsafeMutableBytes(of: &word) { $0.copyBytes(from: key) }
        self.word = word
    }

    static func random() -> Self { Self(.random()) }

    /// XORs `bytes` in place; doing it twice restores them.
    func apply(to bytes: UnsafeMutableRawBufferPointer) {
        let wide = UInt64(word) | UInt64(word) << 32
        var offset = 0
        while bytes.count - offset >= 8 {
            let value = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            bytes.storeBytes(of: value ^ wide, toByteOffset: offset, as: UInt64.self)
            offset += 8
        }
        withUnsafeBytes(of: word) { key in
            while offset < bytes.count {
                bytes[offset] ^= key[offset & 3]
                offset += 1
            }
        }
    }
}

extension ByteBuffer {
    mutating func toggleMask(_ key: MaskingKey) {
        withUnsafeMutableReadableBytes { key.apply(to: $0) }
    }
}
