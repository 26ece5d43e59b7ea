/// What a value may look like, whichever way it came in (body or query); what a tier allows is not decided here.
///
/// Each check answers the rest of the sentence "<field> …", or nil if the value is fine.
enum FieldForm {
    static let maxArguments = 4096
    /// Linux takes no longer argument or variable (MAX_ARG_STRLEN).
    static let maxArgumentBytes = 128 * 1024
    static let maxLabels = 16
    /// Ten years: sums with a moment in microseconds stay far from 64 bits.
    static let maxMilliseconds: Int64 = 10 * 366 * 86_400_000
    static let terminalRange: ClosedRange<Int64> = 1...65_535

    /// A file's mode as octal digits, such as `0644`; nil for anything else.
    static func permissionBits(_ text: String) -> UInt16? {
        guard (3...5).contains(text.utf8.count), text.first != "+", let mode = UInt16(text, radix: 8), mode <= 0o7777 else { return nil }
        return mode
    }

    static func problem(text: String, max: Int) -> String? {
        if text.isEmpty { return "must not be empty" }
        if text.utf8.contains(0) { return "must not contain NUL" }
        return text.utf8.count > max ? "is longer than \(max) bytes" : nil
    }

    static func problem(label text: String, max: Int, mayBeEmpty: Bool) -> String? {
        if !mayBeEmpty, text.allSatisfy(\.isWhitespace) { return "must not be empty" }
        if text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control && $0 != "\n" && $0 != "\t" }) {
            return "must not contain control characters"
        }
        return text.unicodeScalars.count > max ? "is longer than \(max) characters" : nil
    }

    /// One `@`, something before it, and a host with a dot after it: whether anybody reads mail there only a mail can tell. Lengths as in
    /// RFC 5321 §4.5.3.1.
    static func problem(email text: String) -> String? {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        let isFine =
            parts.count == 2 && (1...64).contains(parts[0].utf8.count) && text.utf8.count <= 254
            && parts[1].split(separator: ".", omittingEmptySubsequences: false).count > 1
            && parts[1].split(separator: ".", omittingEmptySubsequences: false).allSatisfy { !$0.isEmpty }
            && text.unicodeScalars.allSatisfy { $0.value > 32 && $0.value != 127 && $0.properties.generalCategory != .control }
            && !text.contains(where: { "<>()[],;:\\\"".contains($0) })
        return isFine ? nil : "must be an e-mail address, such as user@example.com"
    }

    static func problem(argument text: String) -> String? {
        if text.utf8.contains(0) { return "must not contain NUL" }
        return text.utf8.count >= maxArgumentBytes ? "is longer than \(maxArgumentBytes - 1) bytes" : nil
    }

    static func problem(absolutePath path: String) -> String? {
        if path.utf8.contains(0) { return "must not contain NUL" }
        guard path.utf8.first == UInt8(ascii: "/") else { return "must be an absolute path" }
        return path.utf8.count > 4095 ? "is longer than 4095 bytes" : nil
    }

    /// `name`, `uid`, either with `:group`, as in an image's USER; the agent looks it up.
    static func problem(user: String) -> String? {
        if let problem = problem(text: user, max: 256) { return problem }
        guard user.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }), user.utf8.count(where: { $0 == UInt8(ascii: ":") }) <= 1 else {
            return "must be a name or number, optionally with :group"
        }
        return user.utf8.first == UInt8(ascii: ":") ? "must not be empty before the colon" : nil
    }

    static func problem(labelKey key: String) -> String? {
        guard (1...63).contains(key.utf8.count) else { return "is no label key: it must have 1 to 63 characters" }
        guard key.utf8.allSatisfy({ isAlphanumeric($0) || "._-/".utf8.contains($0) }), let first = key.utf8.first, isAlphanumeric(first)
        else {
            return "is no label key: letters, digits and . _ - / are taken, the first a letter or digit"
        }
        return nil
    }

    static func problem(labelValue value: String) -> String? {
        if value.unicodeScalars.count > 255 { return "is longer than 255 characters" }
        return value.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F } ? "must not contain control characters" : nil
    }

    static func problem(execID id: String) -> String? {
        guard (1...64).contains(id.utf8.count), id.utf8.allSatisfy({ isAlphanumeric($0) || "._-".utf8.contains($0) }) else {
            return "must be 1 to 64 letters, digits, dots, underscores or hyphens"
        }
        // `main` names the session's own process to the agent.
        return id == "main" ? "must not be \"main\"" : nil
    }

    /// An image reference as a registry names it: no local id (it could be another account's) and nothing that is no reference at all.
    static func problem(image: String) -> String? {
        if let problem = problem(text: image, max: 512) { return problem }
        guard image.utf8.allSatisfy({ isAlphanumeric($0) || "._-/:@+".utf8.contains($0) }), let first = image.utf8.first,
            isAlphanumeric(first)
        else { return "is no image reference, such as python:3.12" }
        let isDigest = image.utf8.count == 64 && image.utf8.allSatisfy { isHexadecimal($0) }
        guard !image.hasPrefix("sha256:"), !isDigest else {
            return "must be named by repository, such as python:3.12 or python@sha256:…, not by a bare id"
        }
        return nil
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        default: false
        }
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): true
        default: false
        }
    }
}
