import CAgent

/// SHA-256 (FIPS 180-4), in one go or piece by piece.
package struct SHA256 {
    package static let length = 32

    private var state = execbox_sha256()

    package init() { execbox_sha256_begin(&state) }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) { execbox_sha256_update(&state, bytes.baseAddress, bytes.count) }

    /// The hash of all that was given; nothing can be given afterwards.
    package consuming func finished() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Self.length) { digest, count in
            execbox_sha256_end(&state, digest.baseAddress)
            count = Self.length
        }
    }

    /// The hash of `message`.
    package static func hash(_ message: [UInt8]) -> [UInt8] {
        var hash = SHA256()
        message.withUnsafeBytes { hash.update($0) }
        return hash.finished()
    }

    /// Whether two hashes are equal; takes the same time wherever they differ.
    package static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for index in left.indices { difference |= left[index] ^ right[index] }
        return difference == 0
    }
}
