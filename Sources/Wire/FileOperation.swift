/// What `execbox-agent files` is asked for. Paths are absolute and any bytes but NUL; arguments carry them in hexadecimal digits.
public enum FileOperation: Equatable, Sendable {
    case status(path: [UInt8])
    case list(path: [UInt8])
    /// A file's bytes from `first` to `last`, both counted from 0; without `first` the last so many.
    case read(path: [UInt8], first: UInt64?, last: UInt64?)
    /// Standard input is chunks of a u32 length and so many bytes; an empty one completes it. Without a mode a new file is 0644 and one that is
    /// there keeps its own.
    case write(path: [UInt8], mode: UInt32?)
    case makeDirectory(path: [UInt8])
    case move(from: [UInt8], to: [UInt8])
    case remove(path: [UInt8], isRecursive: Bool)

    /// Behind the program's name.
    public var arguments: [String] {
        switch self {
        case .status(let path): ["files", "status", Self.hex(path)]
        case .list(let path): ["files", "list", Self.hex(path)]
        case .read(let path, let first, let last):
            ["files", "read", Self.hex(path), first.map(String.init) ?? "-", last.map(String.init) ?? "-"]
        case .write(let path, let mode): ["files", "write", Self.hex(path), mode.map { String($0, radix: 8) } ?? "-"]
        case .makeDirectory(let path): ["files", "make-directory", Self.hex(path)]
        case .move(let from, let to): ["files", "move", Self.hex(from), Self.hex(to)]
        case .remove(let path, let isRecursive): ["files", "remove", Self.hex(path), isRecursive ? "recursive" : "single"]
        }
    }

    /// Nil unless they are what `arguments` gives.
    public init?(arguments: [String]) {
        guard arguments.count >= 3, arguments[0] == "files", let path = Self.bytes(arguments[2]) else { return nil }
        let rest = Array(arguments[3...])
        switch (arguments[1], rest.count) {
        case ("status", 0): self = .status(path: path)
        case ("list", 0): self = .list(path: path)
        case ("read", 2):
            guard let first = Self.number(rest[0], radix: 10), let last = Self.number(rest[1], radix: 10) else { return nil }
            self = .read(path: path, first: first, last: last)
        case ("write", 1):
            guard let mode = Self.number(rest[0], radix: 8), mode ?? 0 <= 0o7777 else { return nil }
            self = .write(path: path, mode: mode.map(UInt32.init))
        case ("make-directory", 0): self = .makeDirectory(path: path)
        case ("move", 1):
            guard let to = Self.bytes(rest[0]) else { return nil }
            self = .move(from: path, to: to)
        case ("remove", 1):
            guard ["recursive", "single"].contains(rest[0]) else { return nil }
            self = .remove(path: path, isRecursive: rest[0] == "recursive")
        default: return nil
        }
    }

    private static func number(_ text: String, radix: Int) -> UInt64?? {
        if text == "-" { return .some(nil) }
        return UInt64(text, radix: radix).map { .some($0) }
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    private static func bytes(_ text: String) -> [UInt8]? {
        let digits = text.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        guard digits.count == text.utf8.count, digits.count % 2 == 0, !digits.isEmpty else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}
