#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension Encodable {
    /// The value as UTF-8 JSON, slashes unescaped.
    public func json() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        return Array(try encoder.encode(self))
    }
}

extension Decodable {
    /// Decodes a value from UTF-8 JSON; unknown fields are passed over, as a client must.
    public static func fromJSON(_ bytes: some Sequence<UInt8>) throws -> Self {
        try JSONDecoder().decode(Self.self, from: Data(bytes))
    }
}
