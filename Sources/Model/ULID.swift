/// A 128-bit id that sorts by its time of making: 48 bits of Unix milliseconds, 80 random bits, written as 26 lower-case characters
/// (Crockford base 32, https://github.com/ulid/spec).
public struct ULID: Hashable, Sendable {
    private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
    public static let length = 26

    public let text: String

    /// - Parameter unixMilliseconds: only its low 48 bits are used.
    public init(unixMilliseconds: UInt64, random generator: inout some RandomNumberGenerator) {
        var characters = [UInt8](repeating: 0, count: Self.length)
        var time = unixMilliseconds & 0xFFFF_FFFF_FFFF
        for index in (0..<10).reversed() {
            characters[index] = Self.alphabet[Int(time & 31)]
            time >>= 5
        }
        // Twelve characters a number: the system's generator is a system call.
        var bits: UInt64 = 0
        for index in 10..<Self.length {
            if (index - 10) % 12 == 0 { bits = generator.next() }
            characters[index] = Self.alphabet[Int(bits & 31)]
            bits >>= 5
        }
        text = String(decoding: characters, as: UTF8.self)
    }

    /// Takes only the canonical lower-case form; nil for anything else.
    public init?(_ text: some StringProtocol) {
        guard text.utf8.count == Self.length, text.utf8.allSatisfy(Self.alphabet.contains),
            let first = text.utf8.first, first <= UInt8(ascii: "7")
        else { return nil }
        self.text = String(text)
    }
}
