import ExecboxModel

/// Takes an object's fields one by one; what nobody took by `finish()` is refused by name.
///
/// A field that is `null` counts as absent, which is what deployed clients send for "not set".
public struct JSONObjectReader: Sendable {
    private let members: [String: JSONValue]
    private let path: String
    private var taken: Set<String> = []

    public init(_ members: [String: JSONValue], path: String) {
        self.members = members
        self.path = path
    }

    /// Reads a body that must be an object.
    public static func parse(_ body: some Sequence<UInt8>) throws(ExecboxError) -> Self {
        try JSONReader(try JSONParser.parse(body)).object()
    }

    private func path(of name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    /// All fields in the order of their names, for objects whose names are the caller's (`env`, `labels`); nothing is left to finish.
    func all(max: Int) throws(ExecboxError) -> [(name: String, reader: JSONReader)] {
        guard members.count <= max else { throw .invalid(path, "\(path) has \(members.count) entries, at most \(max) are taken") }
        return members.sorted { $0.key < $1.key }.map { ($0.key, JSONReader($0.value, path: path(of: $0.key))) }
    }

    /// The field, or nil if it is absent.
    public mutating func optional(_ name: String) -> JSONReader? {
        taken.insert(name)
        guard let value = members[name], value != .null else { return nil }
        return JSONReader(value, path: path(of: name))
    }

    /// A field of an update: nil if it is absent, and what was is kept; an inner nil if it is `null`, which clears it (RFC 7396).
    public mutating func change<Value>(
        _ name: String, _ read: (JSONReader) throws(ExecboxError) -> Value
    ) throws(ExecboxError) -> Value?? {
        guard members[name] != nil else { return nil }
        guard let reader = optional(name) else { return .some(nil) }
        return .some(try read(reader))
    }

    public mutating func required(_ name: String) throws(ExecboxError) -> JSONReader {
        guard let reader = optional(name) else { throw .invalid(path(of: name), "\(path(of: name)) is required") }
        return reader
    }

    /// Marks fields as known without looking at them.
    public mutating func ignore(_ names: String...) { taken.formUnion(names) }

    public func finish() throws(ExecboxError) {
        guard let unknown = members.keys.filter({ !taken.contains($0) }).min() else { return }
        let near = taken.first { $0.lowercased() == unknown.lowercased() }
        let hint = near.map { ", did you mean \($0)?" } ?? ""
        throw .invalid(path(of: unknown), "unknown field \(path(of: unknown))\(hint)")
    }
}
