import ExecboxModel

/// The query of `/v1/sessions/{id}/files` (PROTOCOL §4). Paths are bytes: names in a sandbox need not be UTF-8.
public struct FileQuery: Equatable, Sendable {
    public enum Kind: String, Sendable, CaseIterable { case directory }
    public enum Archive: String, Sendable, CaseIterable { case tar }

    public var path: [UInt8]
    public var from: [UInt8]?
    public var list: Bool
    public var isRecursive: Bool
    public var type: Kind?
    public var archive: Archive?
    /// Permission bits.
    public var mode: UInt32?

    /// - Parameter items: percent-decoded, in their order; names are UTF-8.
    public init(_ items: [(name: String, value: [UInt8])]) throws(ExecboxError) {
        guard let path = try Self.path("path", items) else { throw .invalid("path", "query parameter path is missing") }
        self.path = path
        from = try Self.path("from", items)
        var texts: [(name: String, value: String)] = []
        for item in items where item.name != "path" && item.name != "from" {
            guard let value = String(validating: item.value, as: UTF8.self) else { throw .invalid(item.name, "the query is not UTF-8") }
            texts.append((item.name, value))
        }
        var reader = QueryReader(texts)
        list = try reader.bool("list") ?? false
        isRecursive = try reader.bool("recursive") ?? false
        type = try reader.choice("type", Kind.self)
        archive = try reader.choice("archive", Archive.self)
        mode = try reader.text("mode").map(Self.mode)
        try reader.finish()
    }

    private static func path(_ name: String, _ items: [(name: String, value: [UInt8])]) throws(ExecboxError) -> [UInt8]? {
        let values = items.filter { $0.name == name }.map(\.value)
        guard let value = values.first else { return nil }
        guard values.count == 1 else { throw .invalid(name, "query parameter \(name) is given \(values.count) times") }
        guard value.first == UInt8(ascii: "/") else { throw .invalid(name, "query parameter \(name) must be an absolute path") }
        guard !value.contains(0) else { throw .invalid(name, "query parameter \(name) must not hold NUL") }
        guard value.count < 4096 else { throw .invalid(name, "query parameter \(name) must have less than 4096 bytes") }
        return value
    }

    private static func mode(_ text: String) throws(ExecboxError) -> UInt32 {
        guard let mode = FieldForm.permissionBits(text) else {
            throw .invalid("mode", "query parameter mode must be octal permission bits, such as 0644")
        }
        return UInt32(mode)
    }
}
