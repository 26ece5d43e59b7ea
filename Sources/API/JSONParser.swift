import ExecboxModel

/// Reads RFC 8259 JSON strictly: valid UTF-8, no duplicate names, nothing behind the value, bounded depth and number of values.
///
/// Strict because two readers that understand one body differently are a way around validation. No input can trap it.
public struct JSONParser {
    /// Nested deeper than this is refused (PROTOCOL §1).
    public static let maxDepth = 64
    /// A value takes some 30 times the memory of its shortest text, so their number is bounded too.
    public static let maxValues = 250_000

    private let bytes: UnsafeBufferPointer<UInt8>
    private var index = 0
    private var valueCount = 0
    private var path: [String] = []

    private init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    /// The value that is all of `body`.
    ///
    /// - Throws: `invalidArgument` with `details.field` for a duplicate name, else with `details.offset`.
    public static func parse(_ body: some Sequence<UInt8>) throws(ExecboxError) -> JSONValue {
        if let result = body.withContiguousStorageIfAvailable(Self.parsed) { return try result.get() }
        return try Array(body).withUnsafeBufferPointer(Self.parsed).get()
    }

    private static func parsed(_ bytes: UnsafeBufferPointer<UInt8>) -> Result<JSONValue, ExecboxError> {
        var parser = JSONParser(bytes)
        do throws(ExecboxError) {
            return .success(try parser.document())
        } catch {
            return .failure(error)
        }
    }

    private mutating func document() throws(ExecboxError) -> JSONValue {
        skipWhitespace()
        guard index < bytes.count else { throw malformed("the body is empty") }
        let value = try value(depth: 0)
        skipWhitespace()
        guard index == bytes.count else { throw malformed("something follows the end of the value") }
        return value
    }

    private func malformed(_ reason: String) -> ExecboxError {
        ExecboxError(.invalidArgument, "malformed JSON at byte \(index): \(reason)", details: ["offset": .number(Int64(index))])
    }

    private var current: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func skipWhitespace() {
        while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { index += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard current == byte else { return false }
        index += 1
        return true
    }

    private mutating func value(depth: Int) throws(ExecboxError) -> JSONValue {
        valueCount += 1
        guard valueCount <= Self.maxValues else { throw malformed("more than \(Self.maxValues) values") }
        guard let byte = current else { throw malformed("a value is missing at the end") }
        switch byte {
        case UInt8(ascii: "{"):
            guard depth < Self.maxDepth else { throw malformed("nested deeper than \(Self.maxDepth) levels") }
            return try object(depth: depth + 1)
        case UInt8(ascii: "["):
            guard depth < Self.maxDepth else { throw malformed("nested deeper than \(Self.maxDepth) levels") }
            return try array(depth: depth + 1)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw malformed("a value cannot start here")
        }
    }

    private mutating func literal(_ text: StaticString, _ value: JSONValue) throws(ExecboxError) -> JSONValue {
        for offset in 0..<text.utf8CodeUnitCount {
            guard take(text.utf8Start[offset]) else { throw malformed("a value cannot start here") }
        }
        return value
    }

    private mutating func object(depth: Int) throws(ExecboxError) -> JSONValue {
        index += 1
        var members: [String: JSONValue] = [:]
        skipWhitespace()
        if take(UInt8(ascii: "}")) { return .object(members) }
        while true {
            skipWhitespace()
            guard current == UInt8(ascii: "\"") else { throw malformed("a field name in quotes is missing") }
            let name = try string()
            path.append(path.isEmpty ? name : ".\(name)")
            guard members[name] == nil else {
                let field = path.joined()
                throw .invalid(field, "\(field) is given twice")
            }
            skipWhitespace()
            guard take(UInt8(ascii: ":")) else { throw malformed("a colon is missing after a field name") }
            skipWhitespace()
            members[name] = try value(depth: depth)
            path.removeLast()
            skipWhitespace()
            if take(UInt8(ascii: "}")) { return .object(members) }
            guard take(UInt8(ascii: ",")) else { throw malformed("a comma or closing brace is missing") }
        }
    }

    private mutating func array(depth: Int) throws(ExecboxError) -> JSONValue {
        index += 1
        var elements: [JSONValue] = []
        skipWhitespace()
        if take(UInt8(ascii: "]")) { return .array(elements) }
        while true {
            skipWhitespace()
            path.append("[\(elements.count)]")
            elements.append(try value(depth: depth))
            path.removeLast()
            skipWhitespace()
            if take(UInt8(ascii: "]")) { return .array(elements) }
            guard take(UInt8(ascii: ",")) else { throw malformed("a comma or closing bracket is missing") }
        }
    }

    private mutating func number() throws(ExecboxError) -> JSONValue {
        let start = index
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) { try digits() }
        if let byte = current, isDigit(byte) { throw malformed("a number cannot start with 0") }
        var isInteger = true
        if take(UInt8(ascii: ".")) {
            isInteger = false
            try digits()
        }
        if let byte = current, byte | 0x20 == UInt8(ascii: "e") {
            isInteger = false
            index += 1
            if !take(UInt8(ascii: "-")) { _ = take(UInt8(ascii: "+")) }
            try digits()
        }
        let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<index]), as: UTF8.self)
        if isInteger, let value = Int64(text) { return .integer(value) }
        return .number(text)
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private mutating func digits() throws(ExecboxError) {
        guard let first = current, isDigit(first) else { throw malformed("a digit is missing") }
        while let byte = current, isDigit(byte) { index += 1 }
    }

    private mutating func string() throws(ExecboxError) -> String {
        index += 1
        let start = index
        // Most strings have no escape: they are taken in one piece.
        while let byte = current, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { index += 1 }
        if current == UInt8(ascii: "\"") {
            let text = try text(UnsafeBufferPointer(rebasing: bytes[start..<index]))
            index += 1
            return text
        }
        var content = Array(bytes[start..<index])
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\""):
                let text = try content.withUnsafeBufferPointer { String(validating: $0, as: UTF8.self) }.orThrow(malformed("invalid UTF-8"))
                index += 1
                return text
            case UInt8(ascii: "\\"):
                index += 1
                try escape(into: &content)
            case 0..<0x20:
                throw malformed("a control character in a string must be escaped")
            default:
                let run = index
                while let byte = current, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { index += 1 }
                content.append(contentsOf: bytes[run..<index])
            }
        }
        throw malformed("a string has no end")
    }

    private func text(_ content: UnsafeBufferPointer<UInt8>) throws(ExecboxError) -> String {
        try String(validating: content, as: UTF8.self).orThrow(malformed("invalid UTF-8"))
    }

    private mutating func escape(into content: inout [UInt8]) throws(ExecboxError) {
        guard let byte = current else { throw malformed("a string has no end") }
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(byte)
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0C)
        case UInt8(ascii: "n"): content.append(0x0A)
        case UInt8(ascii: "r"): content.append(0x0D)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "u"):
            var code = UInt32(try hexadecimal())
            if code & 0xFC00 == 0xD800 {
                guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else { throw malformed("half a surrogate pair") }
                let low = UInt32(try hexadecimal())
                guard low & 0xFC00 == 0xDC00 else { throw malformed("half a surrogate pair") }
                code = 0x10000 + (code & 0x3FF) << 10 + low & 0x3FF
            }
            guard let scalar = Unicode.Scalar(code) else { throw malformed("half a surrogate pair") }
            content.append(contentsOf: UTF8.encode(scalar).map(Array.init) ?? [])
        default: throw malformed("an unknown escape")
        }
    }

    private mutating func hexadecimal() throws(ExecboxError) -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = current, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw malformed("four hexadecimal digits are missing")
            }
            value = value << 4 | UInt16(digit)
            index += 1
        }
        return value
    }
}

extension Optional {
    fileprivate func orThrow(_ error: @autoclosure () -> ExecboxError) throws(ExecboxError) -> Wrapped {
        guard let self else { throw error() }
        return self
    }
}
