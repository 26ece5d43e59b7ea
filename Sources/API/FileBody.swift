import ExecboxModel

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A file baked into the session's image.
public struct FileBody: Equatable, Sendable, Encodable {
    public enum Encoding: String, Sendable, CaseIterable { case utf8, base64 }

    public var path: String
    public var content: [UInt8]
    /// Permission bits; nil for 0644.
    public var mode: UInt16?

    public init(path: String, content: [UInt8], mode: UInt16? = nil) {
        self.path = path
        self.content = content
        self.mode = mode
    }

    init(_ reader: JSONReader) throws(ExecboxError) {
        var object = try reader.object()
        let path = try object.required("path")
        self.path = try path.workingDirectory()
        guard !self.path.hasSuffix("/"), !self.path.split(separator: "/").contains(where: { $0 == ".." || $0 == "." }) else {
            throw path.invalid("must name a file, without . and .. in it")
        }
        let content = try object.required("content")
        let text = try content.string()
        switch try object.optional("encoding")?.choice(Encoding.self) ?? .utf8 {
        case .utf8: self.content = Array(text.utf8)
        case .base64:
            guard let data = Data(base64Encoded: text) else { throw content.invalid("is not valid base64") }
            self.content = Array(data)
        }
        mode = try object.optional("mode").map(Self.mode)
        try object.finish()
    }

    /// A number of permission bits (420), or their usual octal text (`"0644"`).
    private static func mode(_ reader: JSONReader) throws(ExecboxError) -> UInt16 {
        guard case .string(let text) = reader.value else { return UInt16(try reader.integer(in: 0...0o7777)) }
        guard let mode = FieldForm.permissionBits(text) else {
            throw reader.invalid("must be permission bits, such as \"0644\"")
        }
        return mode
    }

    private enum CodingKeys: String, CodingKey { case path, content, encoding, mode }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(path, forKey: .path)
        if let text = String(validating: content, as: UTF8.self) {
            try container.encode(text, forKey: .content)
        } else {
            try container.encode(Data(content).base64EncodedString(), forKey: .content)
            try container.encode(Encoding.base64.rawValue, forKey: .encoding)
        }
        try container.encodeIfPresent(mode, forKey: .mode)
    }
}
