import ExecboxModel
import HTTPTypes
import Hummingbird
import NIOCore

extension Request {
    static let maxBodyBytes = 1 << 20

    /// The whole body.
    ///
    /// - Throws: `tooLarge` with `details.limitBytes`.
    func bytes(limit: Int = Self.maxBodyBytes) async throws -> [UInt8] {
        do {
            return Array(try await body.collect(upTo: limit).readableBytesView)
        } catch is NIOTooManyBytesError {
            throw ExecboxError(.tooLarge, "the body has more than \(limit) bytes", details: ["limitBytes": .number(Int64(limit))])
        }
    }

    /// The query's parameters in their order, percent-decoded, with `+` as a space (WHATWG URL, application/x-www-form-urlencoded).
    func queryItems() throws -> [(name: String, value: String)] {
        guard let query = uri.query else { return [] }
        return try query.split(separator: "&", omittingEmptySubsequences: true).map { item in
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = try Self.decode(parts[0])
            return (name, parts.count > 1 ? try Self.decode(parts[1], of: name) : "")
        }
    }

    /// The same with values of any bytes.
    func rawQueryItems() throws -> [(name: String, value: [UInt8])] {
        guard let query = uri.query else { return [] }
        return try query.split(separator: "&", omittingEmptySubsequences: true).map { item in
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = try Self.decode(parts[0])
            return (name, parts.count > 1 ? try Self.bytes(parts[1], of: name, isForm: true) : [])
        }
    }

    fileprivate static func decodePercents(_ text: Substring) throws -> String { try decode(text, isForm: false) }

    private static func decode(_ text: Substring, of name: String? = nil, isForm: Bool = true) throws -> String {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: "%") || isForm && $0 == UInt8(ascii: "+") }) else { return String(text) }
        guard let decoded = String(validating: try bytes(text, of: name, isForm: isForm), as: UTF8.self) else {
            throw ExecboxError.invalid(name ?? "query", "the query is not UTF-8")
        }
        return decoded
    }

    private static func bytes(_ text: Substring, of name: String?, isForm: Bool) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+") where isForm: bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit) else {
                    throw ExecboxError.invalid(name ?? "query", "the query holds a % that is not followed by two hex digits")
                }
                bytes.append(high << 4 | low)
            default: bytes.append(byte)
            }
        }
        return bytes
    }

    private static func hexDigit(_ character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

extension ServerContext {
    /// A path's parameter, percent-decoded; what cannot be decoded names nothing.
    func parameter(_ name: String) throws -> String {
        guard let text = parameters.get(name), let value = try? Request.decodePercents(text[...]), !value.utf8.contains(0) else {
            throw ExecboxError(.notFound, "there is no such thing at this path")
        }
        return value
    }
}
