/// A 128-bit id that sorts by its time of making: 48 bits of Unix milliseconds, 80 random bits, written as 26 lower-case characters
/// (Crockford base 32, https://github.com/ulid/spec).
public struct ULID: Hashable, Sendable {
    private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
    /// By character; above 31 for what is none of them.
    private static let digits = (UInt8.min...UInt8.max).map { character in UInt8(alphabet.firstIndex(of: character) ?? 255) }
    public static let length = 26

    // Not one UInt128: Swift 6.3's optimizer loses the way back from async functions that take one as an argument.
    private let high: UInt64
    private let low: UInt64

    private var value: UInt128 { UInt128(high) << 64 | UInt128(low) }

    private init(_ value: UInt128) {
        high = UInt64(truncatingIfNeeded: value >> 64)
        low = UInt64(truncatingIfNeeded: value)
    }

    /// - Parameter unixMilliseconds: only its low 48 bits are used.
    public init(unixMilliseconds: UInt64, random generator: inout some RandomNumberGenerator) {
        let random = UInt128(generator.next() as UInt64) << 16 | UInt128(UInt16.random(in: .min ... .max, using: &generator))
        self.init(UInt128(unixMilliseconds & 0xFFFF_FFFF_FFFF) << 80 | random)
    }

    /// Takes only the canonical lower-case form; nil for anything else.
    public init?(_ text: Substring) {
        var text = text
        let value = text.withUTF8 { characters -> UInt128? in
            guard characters.count == Self.length, characters[0] <= UInt8(ascii: "7") else { return nil }
            var value: UInt128 = 0
            for character in characters {
                let digit = Self.digits[Int(character)]
                guard digit < 32 else { return nil }
                value = value << 5 | UInt128(digit)
            }
            return value
        }
        guard let value else { return nil }
        self.init(value)
    }

    public var text: String {
        let value = value
        return String(unsafeUninitializedCapacity: Self.length) { characters in
            for index in 0..<Self.length {
                characters[index] = Self.alphabet[Int(truncatingIfNeeded: value >> (5 * (Self.length - 1 - index)) & 31)]
            }
            return Self.length
        }
    }
}
