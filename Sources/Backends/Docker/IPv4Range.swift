/// An IPv4 range in CIDR notation whose host bits are zero.
struct IPv4Range: Equatable, Sendable, CustomStringConvertible {
    let first: UInt32
    let length: Int

    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let length = Int(parts[1]), (0...32).contains(length), let first = Self.address(parts[0]) else {
            return nil
        }
        guard first & ~Self.mask(length) == 0 else { return nil }
        self.first = first
        self.length = length
    }

    func contains(_ address: UInt32) -> Bool { address & Self.mask(length) == first }

    /// The text of the address `offset` places after the first.
    func address(at offset: UInt32) -> String { Self.text(first &+ offset) }

    var description: String { "\(Self.text(first))/\(length)" }

    static func text(_ address: UInt32) -> String { "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)" }

    static func address(_ text: some StringProtocol) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var address: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.utf8.count), let byte = UInt8(part), part.first != "+", part.first != "-" else { return nil }
            address = address << 8 | UInt32(byte)
        }
        return address
    }

    private static func mask(_ length: Int) -> UInt32 { length == 0 ? 0 : ~UInt32(0) << (32 - UInt32(length)) }
}
