import ExecboxModel

/// What attach and exec share: how frames are written, from where, and what happens to a slow reader.
public struct StreamQuery: Equatable, Sendable {
    public enum Encoding: String, Sendable, CaseIterable { case binary, json }
    public enum Flow: String, Sendable, CaseIterable { case lossless, live }

    public var encoding = Encoding.binary
    /// So many output bytes the client already has; nil starts at 0 and crosses holes.
    public var offset: UInt64?
    public var flow = Flow.lossless

    public init() {}

    init(from query: inout QueryReader) throws(ExecboxError) {
        if let encoding = try query.choice("protocol", Encoding.self) { self.encoding = encoding }
        if let offset = try query.integer("offset", in: 0...Int64.max) { self.offset = UInt64(offset) }
        if let flow = try query.choice("flow", Flow.self) { self.flow = flow }
    }

    public var items: [(name: String, value: String)] {
        var items: [(name: String, value: String)] = []
        if encoding != .binary { items.append((name: "protocol", value: encoding.rawValue)) }
        if let offset { items.append((name: "offset", value: "\(offset)")) }
        if flow != .lossless { items.append((name: "flow", value: flow.rawValue)) }
        return items
    }
}
